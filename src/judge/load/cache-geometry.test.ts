import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { geometryOf } from "./cache-geometry.ts"

test("64 KiB on one rank are the blocks of an 8B model", () => {
  assert.deepEqual(geometryOf(65_536, 1, 1), {
    shape: { kvHeads: 8, headDim: 128, elementBytes: 2 },
    blockTokens: 16,
  })
})

test("a rank's block has the size that was asked for, and both sides' ranks share the heads evenly", () => {
  const ranks = fc.constantFrom(1, 2, 3, 4, 8)
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4096 }), ranks, ranks, (words, prefillTp, decodeTp) => {
      const blockBytes = words * 16 * 24
      const { shape, blockTokens } = geometryOf(blockBytes, prefillTp, decodeTp)
      assert.equal(shape.kvHeads % prefillTp, 0)
      assert.equal(shape.kvHeads % decodeTp, 0)
      const heads = shape.kvHeads / prefillTp
      assert.equal(2 * heads * blockTokens * shape.headDim * shape.elementBytes, blockBytes)
    }),
  )
})

test("a block that cannot be shared out is refused with the step that can", () => {
  assert.throws(() => geometryOf(100, 1, 1), /multiple of 16 bytes/)
  assert.throws(() => geometryOf(48, 1, 4), /multiple of 64 bytes/)
})
