import { AssertionFailed } from "../errors/assert.ts"

/** Why a lease ended. After each of these the blocks are their owner's again. */
export type LeaseEnd = "released" | "landed" | "expired" | "peer lost" | "withdrawn"

/** Where a lease is in its life: offered to whoever has its id, or held by the peer that claimed it. */
export type LeaseState = "offered" | "held" | LeaseEnd

/** What can happen to a lease. */
export type LeaseEvent = "claim" | "renew" | "release" | "land" | "withdraw" | "expire" | "lose"

/** Every transition there is. Whatever is not listed is a mistake of ours. */
export const leaseTransitions: Readonly<
  Partial<Record<LeaseState, Readonly<Partial<Record<LeaseEvent, LeaseState>>>>>
> = {
  offered: { claim: "held", withdraw: "withdrawn", expire: "expired" },
  held: {
    claim: "held",
    renew: "held",
    release: "released",
    land: "landed",
    withdraw: "withdrawn",
    expire: "expired",
    lose: "peer lost",
  },
}

/** True when nothing can happen to a lease any more. */
export const isLeaseEnd = (state: LeaseState): state is LeaseEnd => leaseTransitions[state] === undefined

/** The state after `event`. */
export function nextLeaseState(state: LeaseState, event: LeaseEvent): LeaseState {
  const next = leaseTransitions[state]?.[event]
  if (next === undefined) throw new AssertionFailed(`a lease that is ${state} cannot take "${event}"`)
  return next
}
