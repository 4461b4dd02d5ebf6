import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import {
  blocksFor,
  checkedLayout,
  type KvLayout,
  kvStrides,
  layerBytes,
  tokensInBlock,
  wholeModelLayout,
} from "./kv-layout.ts"
import { headIsContiguous, planes, rowBytes, rowOffset } from "./kv-rows.ts"

const shape = { layers: 2, kvHeads: 4, headDim: 3, elementBytes: 2 }

const layouts: fc.Arbitrary<KvLayout> = fc
  .record({
    order: fc.constantFrom("head-major" as const, "token-major" as const),
    blockTokens: fc.integer({ min: 1, max: 5 }),
    blocks: fc.integer({ min: 1, max: 4 }),
    firstHead: fc.integer({ min: 0, max: 3 }),
    heads: fc.integer({ min: 1, max: 4 }),
  })
  .filter(({ firstHead, heads }) => firstHead + heads <= 4)
  .map((layout) => ({ shape, ...layout }))

test("the rows of all blocks, planes, heads and tokens cover a layer's region exactly once", () => {
  fc.assert(
    fc.property(layouts, (layout) => {
      const row = rowBytes(layout)
      const starts = new Set<number>()
      for (let block = 0; block < layout.blocks; block++) {
        for (const plane of planes) {
          for (let head = layout.firstHead; head < layout.firstHead + layout.heads; head++) {
            for (let slot = 0; slot < layout.blockTokens; slot++) {
              const at = rowOffset(layout, block, plane, head, slot)
              assert.equal(at % row, 0)
              assert.ok(at >= 0 && at + row <= layerBytes(layout))
              starts.add(at)
            }
          }
        }
      }
      assert.equal(starts.size * row, layerBytes(layout))
    }),
  )
})

test("headIsContiguous() says whether a head's rows lie one behind the other", () => {
  fc.assert(
    fc.property(layouts, (layout) => {
      const contiguous = kvStrides(layout).token === rowBytes(layout)
      assert.equal(headIsContiguous(layout), contiguous)
    }),
  )
})

test("the blocks of a sequence hold its tokens, all but the last full", () => {
  fc.assert(
    fc.property(fc.nat({ max: 1000 }), fc.integer({ min: 1, max: 40 }), (tokens, blockTokens) => {
      const blocks = blocksFor(tokens, blockTokens)
      const held = Array.from({ length: blocks }, (_, position) =>
        tokensInBlock(position, tokens, blockTokens),
      )
      assert.equal(
        held.reduce((sum, count) => sum + count, 0),
        tokens,
      )
      assert.ok(held.every((count, i) => (i < blocks - 1 ? count === blockTokens : count > 0)))
      assert.equal(tokensInBlock(blocks, tokens, blockTokens), 0)
    }),
  )
})

test("a layout whose numbers make no sense is refused with the number", () => {
  const good = wholeModelLayout(shape, { blocks: 4 })
  for (const bad of [0, -1, 0.5, Number.NaN, 2 ** 53]) {
    for (const name of ["layers", "kvHeads", "headDim", "elementBytes"] as const) {
      assert.throws(
        () => checkedLayout({ ...good, shape: { ...shape, [name]: bad } }),
        new RegExp(`${name} is ${bad}`),
      )
    }
    for (const name of ["blockTokens", "blocks", "heads"] as const) {
      assert.throws(() => checkedLayout({ ...good, [name]: bad }), new RegExp(`${name} is ${bad}`))
    }
  }
  const isImpossible = (error: unknown): boolean =>
    error instanceof KvError && error.code === "KV_PLAN_IMPOSSIBLE"
  assert.throws(() => checkedLayout({ ...good, firstHead: -1 }), isImpossible)
  assert.throws(() => checkedLayout({ ...good, firstHead: 1 }), /heads 1 to 4 were asked for/)
  assert.throws(
    () => checkedLayout({ ...good, blocks: 2 ** 50, blockTokens: 2 ** 20 }),
    /more than 2\^53 bytes/,
  )
})

test("a layout of a whole model holds all its heads, in blocks of 16 tokens unless told", () => {
  assert.deepEqual(wholeModelLayout(shape, { blocks: 4 }), {
    shape,
    order: "head-major",
    blockTokens: 16,
    blocks: 4,
    firstHead: 0,
    heads: 4,
  })
})
