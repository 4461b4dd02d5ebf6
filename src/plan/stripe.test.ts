import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { stripe } from "./stripe.ts"
import { PlanBuilder, type TransferPlan } from "./transfer-plan.ts"

const align = 4096

/** Pieces that do not touch, in one region on each side. */
function planOf(lengths: readonly number[]): TransferPlan {
  const builder = new PlanBuilder(lengths.length)
  let at = 0
  for (const length of lengths) {
    builder.add(0, at, 1, at + 7, length, 0)
    at += length + 1
  }
  return builder.finish()
}

/** The runs of bytes of a plan in its order, with borders between pieces of one run taken out. */
function runs(plan: TransferPlan): string[] {
  const found: { source: number; target: number; length: number }[] = []
  for (let i = 0; i < plan.pieces; i++) {
    const [source, target, length] = [plan.sourceOffset[i]!, plan.targetOffset[i]!, plan.length[i]!]
    const last = found.at(-1)
    if (last !== undefined && last.source + last.length === source && last.target + last.length === target) {
      last.length += length
    } else found.push({ source, target, length })
  }
  return found.map(({ source, target, length }) => `${source}>${target}:${length}`)
}

function bytesByRail(plan: TransferPlan, rails: number): number[] {
  const bytes = new Array<number>(rails).fill(0)
  for (let i = 0; i < plan.pieces; i++) bytes[plan.rail[i]!]! += plan.length[i]!
  return bytes
}

const lengths = fc.array(fc.integer({ min: 1, max: 300_000 }), { maxLength: 30 })
const weightLists = fc
  .array(fc.oneof(fc.constant(0), fc.double({ min: 0.01, max: 400, noNaN: true })), {
    minLength: 1,
    maxLength: 8,
  })
  .filter((weights) => weights.some((weight) => weight > 0))

test("stripe() carries every byte exactly once and in order, whatever the weights", () => {
  fc.assert(
    fc.property(lengths, weightLists, (pieces, weights) => {
      const plan = planOf(pieces)
      const dealt = stripe(plan, weights.length, weights)
      assert.deepEqual(runs(dealt), runs(plan))
      assert.equal(dealt.bytes, plan.bytes)
      for (let i = 1; i < dealt.pieces; i++) assert.ok(dealt.rail[i]! >= dealt.rail[i - 1]!)
    }),
  )
})

test("a rail gets what its weight says, to within 4 KiB, and one of weight 0 gets nothing", () => {
  fc.assert(
    fc.property(lengths, weightLists, (pieces, weights) => {
      if (weights.length === 1) return
      const plan = planOf(pieces)
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      bytesByRail(stripe(plan, weights.length, weights), weights.length).forEach((bytes, rail) => {
        const weight = weights[rail]!
        if (weight === 0) assert.equal(bytes, 0)
        assert.ok(Math.abs(bytes - (plan.bytes * weight) / total) <= align + 1, `rail ${rail}: ${bytes}`)
      })
    }),
  )
})

test("without weights all rails are alike, as with equal ones", () => {
  const plan = planOf([100_000, 5, 70_000, 1_000_000])
  assert.deepEqual(bytesByRail(stripe(plan, 3), 3), [393216, 393216, 383573])
  assert.deepEqual(bytesByRail(stripe(plan, 2, [1, 3]), 2), [294912, 875093])
})

test("weights that make no sense are our mistake, and are not dealt by", () => {
  const plan = planOf([10, 20])
  for (const weights of [[1], [0, 0], [1, -1], [1, Number.NaN], [1, Number.POSITIVE_INFINITY]]) {
    assert.throws(() => stripe(plan, 2, weights), /broken invariant/)
  }
})
