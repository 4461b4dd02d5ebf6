import type { ServerResponse } from "node:http"
import { KvError } from "../../errors/kv-error.ts"

/** Aborts when the client hangs up, when the deadline passes, or when the frontend closes. Call `stop` at the end. */
export function watchRequest(
  outgoing: ServerResponse,
  deadlineMillis: number,
  closing: AbortSignal,
): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new AbortController()
  const onClose = () => {
    if (!outgoing.writableFinished) controller.abort(hungUp())
  }
  const onClosing = () => controller.abort(closing.reason)
  const timer = setTimeout(() => controller.abort(tooSlow(deadlineMillis)), deadlineMillis)
  outgoing.on("close", onClose)
  closing.addEventListener("abort", onClosing, { once: true })
  if (closing.aborted) onClosing()
  if (outgoing.destroyed) onClose()
  const stop = () => {
    clearTimeout(timer)
    outgoing.off("close", onClose)
    closing.removeEventListener("abort", onClosing)
  }
  return { signal: controller.signal, stop }
}

function hungUp(): KvError {
  return new KvError("KV_CANCELLED", { what: "the client hung up before its answer was complete" })
}

function tooSlow(deadlineMillis: number): KvError {
  return new KvError("KV_DEADLINE", {
    what: `the answer was not complete within ${Math.round(deadlineMillis)} ms`,
    next: "look at /health: a worker may be stopped or overloaded; else ask for fewer tokens",
  })
}
