import { AssertionFailed } from "../errors/assert.ts"
import type { TicketEnd } from "../receipt/receipt.ts"

/** Where a transfer is in its life. The last four are ends. */
export type TicketState = "planned" | "granted" | "posted" | "moved" | "proven" | TicketEnd

/** What can happen to a transfer. */
export type TicketEvent = "grant" | "post" | "land" | "prove" | "deliver" | "fail" | "cancel" | "expire"

const forward: Partial<Record<TicketState, Partial<Record<TicketEvent, TicketState>>>> = {
  planned: { grant: "granted" },
  granted: { post: "posted" },
  posted: { land: "moved" },
  moved: { prove: "proven" },
  proven: { deliver: "delivered" },
}

const ends: Partial<Record<TicketEvent, TicketEnd>> = {
  fail: "failed",
  cancel: "cancelled",
  expire: "expired",
}

/** True when nothing can happen to a transfer any more. */
export const isEnd = (state: TicketState): state is TicketEnd => forward[state] === undefined

/** The state after `event`: one step forward, or an end from anywhere before one. Anything else is our mistake. */
export function nextTicketState(state: TicketState, event: TicketEvent): TicketState {
  const end = isEnd(state) ? undefined : ends[event]
  const next = end ?? forward[state]?.[event]
  if (next === undefined) throw new AssertionFailed(`a ${state} ticket cannot take "${event}"`)
  return next
}
