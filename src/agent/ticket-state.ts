import { AssertionFailed } from "../errors/assert.ts"
import type { TicketEnd } from "../receipt/receipt.ts"

/** Where a transfer is in its life. The last four are ends. */
export type TicketState = "planned" | "granted" | "posted" | "moved" | "proven" | TicketEnd

/** What can happen to a transfer. */
export type TicketEvent = "grant" | "post" | "land" | "prove" | "deliver" | "fail" | "cancel" | "expire"

const ends = { fail: "failed", cancel: "cancelled", expire: "expired" } as const

/** Every transition there is: one step forward, or an end from anywhere before one. The rest is a mistake of ours. */
export const ticketTransitions: Readonly<
  Partial<Record<TicketState, Readonly<Partial<Record<TicketEvent, TicketState>>>>>
> = {
  planned: { grant: "granted", ...ends },
  granted: { post: "posted", ...ends },
  posted: { land: "moved", ...ends },
  moved: { prove: "proven", ...ends },
  proven: { deliver: "delivered", ...ends },
}

/** True when nothing can happen to a transfer any more. */
export const isEnd = (state: TicketState): state is TicketEnd => ticketTransitions[state] === undefined

/** The state after `event`. */
export function nextTicketState(state: TicketState, event: TicketEvent): TicketState {
  const next = ticketTransitions[state]?.[event]
  if (next === undefined) throw new AssertionFailed(`a ${state} ticket cannot take "${event}"`)
  return next
}
