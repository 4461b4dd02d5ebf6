import assert from "node:assert/strict"
import { test } from "node:test"
import { AssertionFailed } from "../errors/assert.ts"
import {
  isLeaseEnd,
  type LeaseEvent,
  type LeaseState,
  leaseTransitions,
  nextLeaseState,
} from "./lease-state.ts"

const events: LeaseEvent[] = ["claim", "renew", "release", "land", "withdraw", "expire", "lose"]
const illegal = undefined

/** What each state becomes by each event, in the order above. */
const table: Record<LeaseState, (LeaseState | undefined)[]> = {
  offered: ["held", illegal, illegal, illegal, "withdrawn", "expired", illegal],
  held: ["held", "held", "released", "landed", "withdrawn", "expired", "peer lost"],
  released: Array(7).fill(illegal),
  landed: Array(7).fill(illegal),
  withdrawn: Array(7).fill(illegal),
  expired: Array(7).fill(illegal),
  "peer lost": Array(7).fill(illegal),
}

for (const [state, row] of Object.entries(table) as [LeaseState, (LeaseState | undefined)[]][]) {
  test(`a lease that is ${state} takes what its row of the table says, and nothing else`, () => {
    for (const [index, event] of events.entries()) {
      const next = row[index]
      assert.equal(leaseTransitions[state]?.[event], next)
      if (next === undefined) assert.throws(() => nextLeaseState(state, event), AssertionFailed, event)
      else assert.equal(nextLeaseState(state, event), next, event)
    }
    assert.equal(
      isLeaseEnd(state),
      row.every((next) => next === undefined),
    )
  })
}
