import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { VerbsLane } from "./verbs-lane.ts"

const handle = { queuePair: 1, sendDepth: 64, receiveDepth: 4 }

test("units leave room in the send queue for answers, and nothing is posted on a lane that has failed", () => {
  const lane = new VerbsLane(1, handle)
  assert.equal(lane.room, 32)
  for (let i = 0; i < 32; i++) lane.next(i)
  assert.equal(lane.room, 0)
  assert.ok(lane.hasSlot)
  for (let i = 0; i < 32; i++) lane.next(-1)
  assert.ok(!lane.hasSlot)
  lane.completed(63)
  assert.equal(lane.room, 32)
  lane.failed = true
  assert.equal(lane.room, 0)
})

test("a completion frees its place and all before it, and gives back the number it was posted under", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 200 }), (runs) => {
      const lane = new VerbsLane(1, handle)
      let [posted, seq] = [0, 1000]
      for (const run of runs) {
        const places = Array.from({ length: run }, () => {
          posted += 1
          return lane.next(seq++)
        })
        assert.ok(!lane.quiet)
        // Only the last one of a run is signalled.
        assert.equal(lane.completed(places.at(-1)!), seq - 1)
        assert.ok(lane.quiet)
      }
      assert.equal(posted, seq - 1000)
    }),
  )
})

test("places are counted in 32 bits, and go on past them", () => {
  const start = 2 ** 32 - 70
  const lane = new VerbsLane(1, handle, start)
  for (let i = 0; i < 200; i += 2) {
    lane.next(i)
    const place = lane.next(i + 1)
    assert.equal(place, (start + i + 1) % 2 ** 32)
    assert.equal(lane.completed(place), i + 1)
    assert.ok(lane.quiet)
    assert.equal(lane.room, 32)
  }
})

test("places that were not taken after all are free again", () => {
  const lane = new VerbsLane(1, handle)
  lane.next(0)
  lane.next(1)
  lane.next(2)
  lane.takeBack(2)
  assert.equal(lane.completed(0), 0)
  assert.ok(lane.quiet)
  assert.equal(lane.next(7), 1)
})

test("a peer that sends more notices than it may is owed no more than that", () => {
  const lane = new VerbsLane(1, handle)
  for (let token = 0; token < 4; token++) assert.ok(lane.owe(token))
  assert.ok(!lane.owe(4))
  assert.equal(lane.owed, 0)
  lane.paid()
  assert.equal(lane.owed, 1)
  assert.ok(lane.owe(5))
})
