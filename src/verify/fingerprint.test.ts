import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { rowBytes, rowOffset } from "../kv/kv-rows.ts"
import { fingerprintBlocks, fingerprintBytes, fingerprintHeads, hashText } from "./fingerprint.ts"
import { firstDifferentBlock, firstDifferentHead } from "./first-difference.ts"
import { storedSequence } from "./stored.test.kit.ts"

const shapes = fc.record({
  tokens: fc.integer({ min: 1, max: 20 }),
  heads: fc.integer({ min: 1, max: 3 }),
  layers: fc.integer({ min: 1, max: 3 }),
  headDim: fc.integer({ min: 1, max: 4 }),
  blockTokens: fc.integer({ min: 1, max: 6 }),
})

test("a cache has the same fingerprints in either order, wherever its blocks lie and whatever lies beside them", () => {
  fc.assert(
    fc.property(shapes, fc.nat({ max: 9 }), fc.nat({ max: 9 }), (shape, one, other) => {
      const a = storedSequence({ ...shape, order: "head-major", seed: one })
      const b = storedSequence({ ...shape, order: "token-major", seed: other })
      assert.deepEqual(fingerprintBlocks(a), fingerprintBlocks(b))
      assert.deepEqual(fingerprintHeads(a), fingerprintHeads(b))
    }),
  )
})

test("one changed byte of a stored row changes the fingerprint of its block and head, and no other", () => {
  const orders = fc.constantFrom("head-major" as const, "token-major" as const)
  fc.assert(
    fc.property(shapes, orders, fc.nat(), fc.integer({ min: 1, max: 255 }), (shape, order, pick, flip) => {
      const sequence = storedSequence({ ...shape, order })
      const { layout, blocks, spans, tokens } = sequence
      const blocksBefore = fingerprintBlocks(sequence)
      const headsBefore = fingerprintHeads(sequence)
      const token = pick % tokens
      const layer = pick % shape.layers
      const head = pick % shape.heads
      const plane = pick % 2 === 0 ? 0 : 1
      const position = Math.floor(token / layout.blockTokens)
      const at = rowOffset(layout, blocks[position]!, plane, head, token % layout.blockTokens)
      const byte = spans[layer]!.view(at + (pick % rowBytes(layout)), 1)
      byte[0]! ^= flip
      const positions = blocks.length
      const blocksAfter = fingerprintBlocks(sequence)
      const changed = [...blocksAfter.keys()].filter((i) => blocksAfter[i] !== blocksBefore[i])
      assert.deepEqual(changed, [layer * positions + position])
      assert.deepEqual(firstDifferentBlock(blocksBefore, blocksAfter, positions), { layer, block: position })
      const texts = (hashes: bigint[][][]): string[][][] =>
        hashes.map((list) => list.map((heads) => heads.map(hashText)))
      assert.deepEqual(firstDifferentHead(texts(headsBefore), texts(fingerprintHeads(sequence))), {
        layer,
        block: position,
        head,
        plane: plane === 0 ? "key" : "value",
      })
    }),
  )
})

test("rows behind the last token do not count", () => {
  for (const order of ["head-major", "token-major"] as const) {
    const sequence = storedSequence({ tokens: 5, blockTokens: 4, order })
    const before = fingerprintBlocks(sequence)
    const { layout, blocks, spans } = sequence
    for (let slot = 1; slot < 4; slot++) {
      spans[0]!.view(rowOffset(layout, blocks[1]!, 1, 1, slot), rowBytes(layout)).fill(0)
    }
    assert.deepEqual(fingerprintBlocks(sequence), before)
    assert.notDeepEqual(fingerprintBlocks({ ...sequence, tokens: 6 }), before)
  }
})

test("right blocks in wrong places differ: exchanged positions, and another layer's rows", () => {
  // Every block and layer holds the same numbers: only the place tells them apart.
  const sequence = storedSequence({
    tokens: 8,
    blockTokens: 4,
    value: (_l, plane, head, token, i) => plane + head + (token % 4) + i,
  })
  const hashes = fingerprintBlocks(sequence)
  assert.equal(new Set(hashes).size, hashes.length)
  const different = storedSequence({ tokens: 8, blockTokens: 4 })
  const exchanged = { ...different, blocks: Uint32Array.of(different.blocks[1]!, different.blocks[0]!) }
  const [before, after] = [fingerprintBlocks(different), fingerprintBlocks(exchanged)]
  assert.ok(before.every((hash, i) => hash !== after[i]))
})

test("a sequence without tokens has no fingerprints", () => {
  assert.equal(fingerprintBlocks(storedSequence({ tokens: 0 })).length, 0)
})

test("hashes are 16 digits, and those of other bytes depend on the bytes", () => {
  assert.equal(hashText(0xabn), "00000000000000ab")
  assert.equal(fingerprintBytes(new Uint8Array(3)), fingerprintBytes(new Uint8Array(3)))
  assert.notEqual(fingerprintBytes(new Uint8Array(3)), fingerprintBytes(new Uint8Array(4)))
})

test("the first difference is found layer by layer; what one side lacks differs", () => {
  const expected = BigUint64Array.of(1n, 2n, 3n, 4n)
  assert.equal(firstDifferentBlock(expected, expected.slice(), 2), undefined)
  assert.deepEqual(firstDifferentBlock(expected, BigUint64Array.of(1n, 2n, 3n, 9n), 2), {
    layer: 1,
    block: 1,
  })
  assert.deepEqual(firstDifferentBlock(expected, BigUint64Array.of(1n, 2n), 2), { layer: 1, block: 0 })
  assert.deepEqual(firstDifferentBlock(new BigUint64Array(0), BigUint64Array.of(1n), 1), {
    layer: 0,
    block: 0,
  })
  const heads = [[["a", "b", "c", "d"]]]
  assert.equal(firstDifferentHead(heads, [[["a", "b", "c", "d"]]]), undefined)
  assert.deepEqual(firstDifferentHead(heads, [[["a", "b", "c", "x"]]]), {
    layer: 0,
    block: 0,
    head: 1,
    plane: "value",
  })
  assert.deepEqual(firstDifferentHead(heads, []), { layer: 0, block: 0, head: 0, plane: "key" })
  assert.deepEqual(firstDifferentHead(heads, [[["a", "b"]]]), { layer: 0, block: 0, head: 1, plane: "key" })
  assert.deepEqual(firstDifferentHead([[["a"]]], [[["a"]], [["a"]]]), {
    layer: 1,
    block: 0,
    head: 0,
    plane: "key",
  })
})
