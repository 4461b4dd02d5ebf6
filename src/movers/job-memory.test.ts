import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { JobMemory } from "./job-memory.ts"

test("blocks do not overlap, whatever is taken and given back", () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 3_000_000 })), { maxLength: 60 })
  fc.assert(
    fc.property(steps, (list) => {
      const told: number[] = []
      using memory = new JobMemory((segment) => told.push(segment))
      const held: ReturnType<JobMemory["take"]>[] = []
      for (const [give, number] of list) {
        if (give && held.length > 0) memory.give(held.splice(number % held.length, 1)[0]!)
        else held.push(memory.take(number))
        const ranges = held
          .map(({ segment, block, byteLength }) => [segment * 2 ** 32 + block, byteLength] as const)
          .sort(([one], [other]) => one - other)
        for (let i = 1; i < ranges.length; i++)
          assert.ok(ranges[i - 1]![0] + ranges[i - 1]![1] <= ranges[i]![0])
      }
      for (const { views, block, byteLength, segment } of held) {
        assert.ok(told.includes(segment))
        assert.equal(block % 8, 0)
        assert.ok(block + byteLength <= views.u32.byteLength)
      }
    }),
    { numRuns: 30 },
  )
})

test("10,000 jobs one after the other need no more memory than one", () => {
  let segments = 0
  using memory = new JobMemory(() => {
    segments += 1
  })
  for (let i = 0; i < 10_000; i++) memory.give(memory.take(1000 + (i % 7) * 400_000))
  assert.equal(segments, 1)
})

test("a job that is too large, and one too many, are refused with the numbers", () => {
  using memory = new JobMemory(() => {})
  assert.throws(() => memory.take(2 ** 30 + 1), { code: "KV_LIMIT" })
  for (let i = 0; i < 4; i++) memory.take(2 ** 30)
  assert.throws(() => memory.take(1), { code: "KV_LIMIT" })
})
