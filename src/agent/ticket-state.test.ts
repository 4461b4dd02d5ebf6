import assert from "node:assert/strict"
import { test } from "node:test"
import { AssertionFailed } from "../errors/assert.ts"
import { isEnd, nextTicketState, type TicketEvent, type TicketState } from "./ticket-state.ts"

const events: TicketEvent[] = ["grant", "post", "land", "prove", "deliver", "fail", "cancel", "expire"]
const illegal = undefined

/** What each state becomes by each event, in the order above. */
const table: Record<TicketState, (TicketState | undefined)[]> = {
  planned: ["granted", illegal, illegal, illegal, illegal, "failed", "cancelled", "expired"],
  granted: [illegal, "posted", illegal, illegal, illegal, "failed", "cancelled", "expired"],
  posted: [illegal, illegal, "moved", illegal, illegal, "failed", "cancelled", "expired"],
  moved: [illegal, illegal, illegal, "proven", illegal, "failed", "cancelled", "expired"],
  proven: [illegal, illegal, illegal, illegal, "delivered", "failed", "cancelled", "expired"],
  delivered: Array(8).fill(illegal),
  failed: Array(8).fill(illegal),
  cancelled: Array(8).fill(illegal),
  expired: Array(8).fill(illegal),
}

for (const [state, row] of Object.entries(table) as [TicketState, (TicketState | undefined)[]][]) {
  test(`a ${state} ticket takes what its row of the table says, and nothing else`, () => {
    for (const [index, event] of events.entries()) {
      const next = row[index]
      if (next === undefined) assert.throws(() => nextTicketState(state, event), AssertionFailed, event)
      else assert.equal(nextTicketState(state, event), next, event)
    }
    assert.equal(
      isEnd(state),
      row.every((next) => next === undefined),
    )
  })
}

test("no ticket is delivered that was not proven", () => {
  const before = Object.entries(table).filter(([, row]) => row.includes("delivered"))
  assert.deepEqual(
    before.map(([state]) => state),
    ["proven"],
  )
})
