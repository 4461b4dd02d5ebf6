import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { MessageIo } from "../../os/message-io.ts"
import { Segments } from "./segments.ts"

/** Stands in for a message header: it only remembers what was offered. */
class Offered {
  runs: [address: number, length: number][] = []
  clear(): void {
    this.runs = []
  }
  add(address: number, length: number): void {
    this.runs.push([address, length])
  }
  get bytes(): number {
    return this.runs.reduce((sum, [, length]) => sum + length, 0)
  }
}

const offered = (segments: Segments): [number, number][] => {
  const io = new Offered()
  segments.fill(io as unknown as MessageIo)
  return io.runs
}

test("a queue of segments offers its bytes in order, whatever part of them each call takes", () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ push: fc.integer({ min: 1, max: 5000 }) }),
      fc.record({ pass: fc.double({ min: 0, max: 1, noNaN: true }) }),
    ),
    { maxLength: 200 },
  )
  fc.assert(
    fc.property(steps, (list) => {
      const segments = new Segments()
      let [queued, passed] = [0, 0]
      for (const step of list) {
        if ("push" in step) {
          segments.push(queued, step.push)
          queued += step.push
          continue
        }
        const runs = offered(segments)
        let next = passed
        for (const [address, length] of runs) {
          assert.equal(address, next)
          next += length
        }
        const taken = Math.floor(step.pass * (next - passed))
        segments.advance(taken)
        passed += taken
        assert.equal(segments.bytes, queued - passed)
      }
    }),
  )
})

test("a queue that never runs empty goes on offering the right bytes, however much has passed", () => {
  const segments = new Segments()
  segments.push(0, 3)
  for (let i = 1; i < 20_000; i++) {
    segments.push(i * 3, 3)
    assert.deepEqual(offered(segments)[0], [i * 3 - 3, 3])
    segments.advance(3)
  }
  assert.equal(segments.bytes, 3)
})

test("redirect() sends exactly what was still expected into the sink", () => {
  const segments = new Segments()
  segments.push(1_000_000, 100)
  segments.push(2_000_000, 700)
  segments.advance(30)
  segments.redirect(5000, 256)
  assert.equal(segments.bytes, 770)
  assert.deepEqual(offered(segments), [
    [5000, 256],
    [5000, 256],
    [5000, 256],
    [5000, 2],
  ])
})
