import { KvError } from "../errors/kv-error.ts"

/** @throws KvError KV_CANCELLED once the bench was interrupted. */
export function throwIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new KvError("KV_CANCELLED", { what: "the bench was interrupted" })
}
