import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { PlanBuilder } from "../plan/transfer-plan.ts"
import { pickedBlocks } from "./picked-blocks.ts"
import { planParts } from "./plan-parts.ts"

test("picked blocks are different, in range, and the same ones for a seed", () => {
  fc.assert(
    fc.property(fc.nat(500), fc.nat(500), fc.nat(), (total, wanted, seed) => {
      const count = Math.min(total, wanted)
      const picked = pickedBlocks(total, count, seed)
      assert.equal(new Set(picked).size, count)
      assert.ok(picked.every((block) => block < total))
      assert.deepEqual(picked, pickedBlocks(total, count, seed))
    }),
  )
})

test("picked blocks are scattered: of 6,000 hardly any two follow each other", () => {
  const picked = pickedBlocks(12_000, 6000, 42)
  const inRow = picked.filter((block, i) => i > 0 && picked[i - 1]! + 1 === block).length
  assert.ok(inRow < 10, `${inRow}`)
})

test("parts of a plan hold its pieces in order, each once, as many in each part", () => {
  const builder = new PlanBuilder(7)
  for (let i = 0; i < 7; i++) builder.add(0, i * 200, 1, i * 300, 100, 0)
  const parts = planParts(builder.finish(), 3)
  assert.deepEqual(
    parts.map(({ sourceOffset }) => [...sourceOffset]),
    [
      [0, 200],
      [400, 600],
      [800, 1000],
    ],
  )
  assert.deepEqual([...parts[2]!.targetOffset], [1200, 1500])
})
