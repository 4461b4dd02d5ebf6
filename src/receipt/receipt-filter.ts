import type { TransferReceipt } from "./receipt.ts"

/** Which receipts are wanted; all conditions that are given must hold. */
export interface ReceiptFilter {
  /** A request's id, or its beginning. */
  readonly request?: string
  /** A trace id or a whole `traceparent`, or the beginning of either. */
  readonly trace?: string
  readonly states?: readonly string[]
  readonly verdicts?: readonly string[]
  readonly transports?: readonly string[]
  /** Agent id of either side. */
  readonly peer?: string
  /** Ended at this moment or later, in milliseconds since 1970. */
  readonly sinceMillis?: number
  /** Took longer than this from start to end. */
  readonly slowerMicros?: number
}

/** Whether a receipt is one of those that are wanted. */
export function matches(receipt: TransferReceipt, filter: ReceiptFilter): boolean {
  const { request, trace, states, verdicts, transports, peer, sinceMillis, slowerMicros } = filter
  if (request !== undefined && !receipt.requestId.startsWith(request)) return false
  // A traceparent is version, trace id, span id and flags, with dashes between them.
  if (trace !== undefined && !receipt.trace.startsWith(trace) && !receipt.trace.slice(3).startsWith(trace))
    return false
  if (states !== undefined && !states.includes(receipt.state)) return false
  if (verdicts !== undefined && !verdicts.includes(receipt.integrity.verdict)) return false
  if (transports !== undefined && !transports.includes(receipt.path.transport)) return false
  if (peer !== undefined && receipt.source.agentId !== peer && receipt.target.agentId !== peer) return false
  if (sinceMillis !== undefined && Date.parse(receipt.endedAt) < sinceMillis) return false
  return slowerMicros === undefined || receipt.micros.total > slowerMicros
}
