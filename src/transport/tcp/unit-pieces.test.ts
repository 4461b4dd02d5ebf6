import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import type { HashUnits } from "../transport.ts"
import { noPiece, pieceOfUnits } from "./unit-pieces.ts"

type Run = readonly [region: number, offset: number, length: number]

function planOf(runs: readonly Run[]): TransferPlan {
  const builder = new PlanBuilder(runs.length)
  // Sources far apart, so that no two pieces become one.
  for (const [i, [region, offset, length]] of runs.entries())
    builder.add(0, i * 1_000_000, region, offset, length, 0)
  return builder.finish()
}

const unitsOf = (runs: readonly Run[]): HashUnits => ({
  count: runs.length,
  region: Uint32Array.from(runs, ([region]) => region),
  offset: Float64Array.from(runs, ([, offset]) => offset),
  length: Uint32Array.from(runs, ([, , length]) => length),
  seed: new BigUint64Array(runs.length),
})

/** The answer by looking at every piece. */
const slowly = (pieces: readonly Run[], [region, offset, length]: Run): number => {
  const at = pieces.findIndex(
    ([r, start, bytes]) => r === region && offset >= start && offset + length <= start + bytes,
  )
  return at < 0 ? noPiece : at
}

test("each unit is found in the piece that holds it whole, in any order of units and pieces, and in none when it is cut", () => {
  const pieces = fc
    .array(fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 30 }), fc.integer({ min: 1, max: 64 })), {
      minLength: 1,
      maxLength: 30,
    })
    .map((list) => {
      const ends = [0, 0, 0]
      return list.map(([region, gap, length]): Run => {
        const offset = ends[region]! + gap
        ends[region] = offset + length
        return [region, offset, length]
      })
    })
    .chain((list) => fc.shuffledSubarray(list, { minLength: list.length }))
  const units = fc.array(
    fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 900 }), fc.integer({ min: 1, max: 40 })),
    {
      maxLength: 60,
    },
  )
  fc.assert(
    fc.property(pieces, units, fc.boolean(), (runs, strays, inside) => {
      // Half of the time the pieces themselves are the units: strays alone would mostly lie in none.
      const asked = inside ? [...runs, ...strays] : strays
      const expected = asked.map((unit) => slowly(runs, unit))
      assert.deepEqual([...pieceOfUnits(planOf(runs), unitsOf(asked))], expected)
    }),
  )
})

test("a unit across the border of two pieces lies in neither, one at the border in its own", () => {
  const plan = planOf([
    [0, 0, 100],
    [0, 100, 100],
  ])
  const units = unitsOf([
    [0, 90, 10],
    [0, 90, 11],
    [0, 100, 1],
    [0, 199, 1],
    [0, 199, 2],
    [1, 0, 1],
  ])
  assert.deepEqual([...pieceOfUnits(plan, units)], [0, noPiece, 1, 1, noPiece, noPiece])
})
