import { asKvError, KvError } from "../../errors/kv-error.ts"
import type { EngineError } from "../driver/protocol.ts"
import type { TransferEnd } from "./driven-agent.ts"

/** An error in the words that the judge keeps. */
export function engineError(thrown: unknown): EngineError {
  const { code, message } = asKvError(thrown, "KV_INTERNAL", "the driver failed by a mistake of ours")
  return { code, text: message.slice(0, 4000) }
}

/** How a transfer has ended that was stopped by an error. */
export function endOf(thrown: unknown): TransferEnd {
  const error = engineError(thrown)
  return { state: error.code === "KV_CANCELLED" ? "cancelled" : "failed", error }
}

export function usage(what: string): KvError {
  return new KvError("KV_USAGE", { what })
}

/** @throws KvError KV_USAGE when there is none of that name. */
export function known<T>(map: ReadonlyMap<string | number, T>, key: string | number, what: string): T {
  const found = map.get(key)
  if (found === undefined) throw usage(`there is no ${what} ${JSON.stringify(String(key).slice(0, 40))}`)
  return found
}
