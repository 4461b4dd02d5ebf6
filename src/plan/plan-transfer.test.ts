import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { blocksFor, type KvLayout, kvStrides, layerBytes, wholeModelLayout } from "../kv/kv-layout.ts"
import { type PlanSide, planTransfer } from "./plan-transfer.ts"
import { stripe } from "./stripe.ts"
import { PlanBuilder, pieceBytesMax, type TransferPlan } from "./transfer-plan.ts"

const shape = { layers: 2, kvHeads: 4, headDim: 3, elementBytes: 2 }

/** A layout of either order, any block size and any head range, with a scattered block table. */
const sideArbitrary = (tokens: number): fc.Arbitrary<PlanSide> =>
  fc
    .record({
      order: fc.constantFrom("head-major" as const, "token-major" as const),
      blockTokens: fc.integer({ min: 1, max: 9 }),
      firstHead: fc.integer({ min: 0, max: 2 }),
      spare: fc.integer({ min: 0, max: 5 }),
      seed: fc.integer(),
    })
    .map(({ order, blockTokens, firstHead, spare, seed }) => {
      const blocks = blocksFor(tokens, blockTokens) + spare + 1
      const heads = Math.min(2, 4 - firstHead)
      const layout: KvLayout = { shape, order, blockTokens, blocks, firstHead, heads }
      const ids = Array.from({ length: blocks }, (_, i) => i)
      let state = seed >>> 0
      for (let i = ids.length - 1; i > 0; i--) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        const j = state % (i + 1)
        ;[ids[i], ids[j]] = [ids[j]!, ids[i]!]
      }
      return { layout, regions: [7, 3], blocks: Uint32Array.from(ids) }
    })

/** Byte addresses of every (layer, token, head, plane) row, straight from the definition of the layout. */
function rowOffset(side: PlanSide, plane: number, head: number, token: number): number {
  const s = kvStrides(side.layout)
  const block = side.blocks[Math.floor(token / side.layout.blockTokens)]!
  const slot = token % side.layout.blockTokens
  return block * s.block + plane * s.plane + (head - side.layout.firstHead) * s.head + slot * s.token
}

/** Which source byte each target byte gets, by region; throws when a target byte is written twice. */
function perform(plan: TransferPlan, targetBytes: number): Map<number, Map<number, string>> {
  const regions = new Map<number, Map<number, string>>()
  for (let i = 0; i < plan.pieces; i++) {
    const region = regions.get(plan.targetRegion[i]!) ?? new Map<number, string>()
    regions.set(plan.targetRegion[i]!, region)
    for (let b = 0; b < plan.length[i]!; b++) {
      const at = plan.targetOffset[i]! + b
      assert.ok(at < targetBytes, "a piece stays inside the target's region")
      assert.ok(!region.has(at), `target byte ${at} is written once`)
      region.set(at, `${plan.sourceRegion[i]}:${plan.sourceOffset[i]! + b}`)
    }
  }
  return regions
}

test("planTransfer() moves every byte of every common head exactly once, and no other byte", () => {
  const cases = fc.integer({ min: 1, max: 40 }).chain((tokens) =>
    fc.record({
      source: sideArbitrary(tokens),
      target: sideArbitrary(tokens),
      to: fc.constant(tokens),
      from: fc.integer({ min: 0, max: tokens }),
      rails: fc.integer({ min: 1, max: 4 }),
    }),
  )
  fc.assert(
    fc.property(cases, ({ source, target, from, to, rails }) => {
      const firstHead = Math.max(source.layout.firstHead, target.layout.firstHead)
      const endHead = Math.min(
        source.layout.firstHead + source.layout.heads,
        target.layout.firstHead + target.layout.heads,
      )
      if (endHead <= firstHead) {
        assert.throws(() => planTransfer(source, target, { from, to }), KvError)
        return
      }
      const plan = stripe(planTransfer(source, target, { from, to }), rails)
      const moved = perform(plan, layerBytes(target.layout))
      let rows = 0
      for (let layer = 0; layer < shape.layers; layer++) {
        const region = moved.get(target.regions[layer]!) ?? new Map<number, string>()
        for (let token = from; token < to; token++) {
          for (let head = firstHead; head < endHead; head++) {
            for (let plane = 0; plane < 2; plane++) {
              const s = rowOffset(source, plane, head, token)
              const t = rowOffset(target, plane, head, token)
              for (let b = 0; b < 6; b++) {
                assert.equal(region.get(t + b), `${source.regions[layer]}:${s + b}`)
              }
              rows += 1
            }
          }
        }
      }
      const written = [...moved.values()].reduce((sum, region) => sum + region.size, 0)
      assert.equal(written, rows * 6)
      assert.equal(plan.bytes, rows * 6)
    }),
    { numRuns: 300 },
  )
})

test("planTransfer() makes one piece of blocks that lie side by side on both sides", () => {
  const layout = wholeModelLayout(shape, { blocks: 20 })
  const table = Uint32Array.from([4, 5, 6, 9])
  const side = { layout, regions: [0, 1], blocks: table }
  const plan = planTransfer(side, side, { to: 64 })
  const block = kvStrides(layout).block
  assert.deepEqual([...plan.length], [3 * block, block, 3 * block, block])
})

test("planTransfer() leaves the rows behind the last token alone", () => {
  const layout = wholeModelLayout(shape, { blocks: 4 })
  const side = { layout, regions: [0, 1], blocks: Uint32Array.from([2, 0]) }
  const plan = planTransfer(side, side, { to: 17 })
  assert.equal(plan.bytes, 17 * 2 * 2 * 4 * 6)
})

test("planTransfer() refuses what does not fit, with the rule", () => {
  const layout = wholeModelLayout(shape, { blocks: 4 })
  const side = { layout, regions: [0, 1], blocks: Uint32Array.from([2, 0]) }
  const refusals: [PlanSide, PlanSide, { from?: number; to: number; layers?: number }, RegExp][] = [
    [side, side, { to: 33 }, /needs 3/],
    [side, { ...side, blocks: Uint32Array.from([1, 4]) }, { to: 32 }, /pool has 4 blocks/],
    [side, { ...side, blocks: Uint32Array.from([1, 1]) }, { to: 32 }, /twice/],
    [side, { ...side, regions: [0] }, { to: 16 }, /each layer has one region/],
    [side, { ...side, layout: { ...layout, shape: { ...shape, headDim: 4 } } }, { to: 16 }, /headDim/],
    [side, side, { from: 5, to: 4 }, /upwards/],
    [side, side, { to: Number.NaN }, /upwards/],
    [side, side, { to: 16, layers: 3 }, /has 2 layers/],
  ]
  for (const [source, target, scope, message] of refusals) {
    assert.throws(() => planTransfer(source, target, scope), message)
  }
})

test("PlanBuilder cuts a run that is longer than a piece may be", () => {
  const builder = new PlanBuilder(1)
  builder.add(0, 0, 0, 5, 2 * pieceBytesMax + 7, 0)
  const plan = builder.finish()
  assert.deepEqual([...plan.length], [pieceBytesMax, pieceBytesMax, 7])
  assert.equal(plan.targetOffset[2], 5 + 2 * pieceBytesMax)
})

test("stripe() gives each rail about the same number of bytes", () => {
  const layout = wholeModelLayout(
    { layers: 2, kvHeads: 8, headDim: 128, elementBytes: 2 },
    { blocks: 64, blockTokens: 16 },
  )
  const side = { layout, regions: [0, 1], blocks: Uint32Array.from({ length: 32 }, (_, i) => i * 2) }
  const plan = stripe(planTransfer(side, side, { to: 512 }), 3)
  const perRail = [0, 0, 0]
  for (let i = 0; i < plan.pieces; i++) perRail[plan.rail[i]!]! += plan.length[i]!
  assert.ok(Math.max(...perRail) - Math.min(...perRail) <= 3 * 4096, perRail.join(" "))
})
