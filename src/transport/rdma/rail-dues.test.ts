import assert from "node:assert/strict"
import { test } from "node:test"
import { dealMemory } from "./deal.ts"
import { RailDues } from "./rail-dues.ts"
import type { PostCommand } from "./rail-messages.ts"

const error = { code: "KV_CANCELLED", what: "no" } as const
const post = (move: number, connection: number, deadlineMillis: number): PostCommand => ({
  type: "post",
  connection,
  move,
  prepared: 1,
  once: true,
  deal: dealMemory(1, 1, 1),
  deadlineMillis,
})

test("something is due from a move's deadline on, until the rail has left it", () => {
  const dues = new RailDues()
  assert.equal(dues.due(1e9), false)
  dues.told(post(1, 7, 1000), 0)
  assert.deepEqual([dues.due(999), dues.due(1000)], [false, true])
  dues.heard({ type: "left", move: 2, done: true })
  assert.equal(dues.due(1000), true)
  dues.heard({ type: "left", move: 1, done: true })
  assert.equal(dues.due(1e9), false)
})

test("a cancel is due at once, for its move; the end of a connection for all of its moves", () => {
  const dues = new RailDues()
  for (const [move, connection] of [
    [1, 7],
    [2, 7],
    [3, 8],
  ] as const)
    dues.told(post(move, connection, 1e6), 0)
  dues.told({ type: "cancel", move: 3, error }, 50)
  assert.deepEqual([dues.due(49), dues.due(50)], [false, true])
  dues.heard({ type: "left", move: 3, done: false })
  assert.equal(dues.due(100), false)
  dues.told({ type: "disconnect", connection: 7, error }, 200)
  dues.heard({ type: "left", move: 1, done: false })
  assert.equal(dues.due(200), true)
  dues.heard({ type: "left", move: 2, done: false })
  assert.equal(dues.due(1e5), false)
})

test("so is a lane that is to end, and the thread itself", () => {
  const dues = new RailDues()
  dues.told({ type: "stop-lane", lane: 4 }, 10)
  assert.equal(dues.due(0), true)
  dues.heard({ type: "lane-ended", lane: 4 })
  assert.equal(dues.due(0), false)
  dues.stopping()
  assert.equal(dues.due(0), true)
})
