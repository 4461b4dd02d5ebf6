import assert from "node:assert/strict"
import { test } from "node:test"
import { xxh64 } from "@node-rs/xxhash"
import fc from "fast-check"
import { fingerprintBlocks } from "./fingerprint.ts"
import { hashUnitsOf } from "./hash-units.ts"
import { plainHasher } from "./hasher.ts"
import { storedSequence } from "./stored.test.kit.ts"

const cases = fc.record({
  tokens: fc.nat({ max: 20 }),
  heads: fc.integer({ min: 1, max: 3 }),
  layers: fc.integer({ min: 1, max: 3 }),
  headDim: fc.integer({ min: 1, max: 4 }),
  blockTokens: fc.integer({ min: 1, max: 6 }),
  order: fc.constantFrom("head-major" as const, "token-major" as const),
})

test("whole units hashed where they lie, and the rest by a hasher, are the fingerprints of the sequence", async () => {
  await fc.assert(
    fc.asyncProperty(cases, fc.integer({ min: 1, max: 7 }), async (shape, unitTokens) => {
      const sequence = storedSequence(shape)
      const regions = sequence.spans.map((_, layer) => 100 + layer)
      const { whole, places, rest } = hashUnitsOf(sequence, unitTokens, regions)
      const expected = fingerprintBlocks(sequence, unitTokens)
      const found = new BigUint64Array(expected.length)
      for (let i = 0; i < whole.count; i++) {
        const span = sequence.spans[whole.region[i]! - 100]!
        found[places[i]!] = xxh64(span.view(whole.offset[i]!, whole.length[i]!), whole.seed[i])
      }
      const others = await plainHasher.hash(sequence, unitTokens, rest)
      rest.forEach((place, i) => {
        found[place] = others[i]!
      })
      assert.deepEqual(found, expected)
      assert.equal(places.length + rest.length, expected.length)
    }),
  )
})

test("only a last block that is not full is left over where the layouts are one", () => {
  const { whole, rest } = hashUnitsOf(storedSequence({ tokens: 14, blockTokens: 4, layers: 3 }), 4, [0, 1, 2])
  assert.equal(whole.count, 9)
  assert.deepEqual([...rest], [3, 7, 11])
})

test("another order or another unit leaves everything to the hasher", () => {
  for (const [order, unitTokens] of [
    ["token-major", 4],
    ["head-major", 2],
  ] as const) {
    const { whole, rest } = hashUnitsOf(
      storedSequence({ tokens: 8, blockTokens: 4, order }),
      unitTokens,
      [0, 1, 2],
    )
    assert.equal(whole.count, 0)
    assert.equal(rest.length, (8 / unitTokens) * 3)
  }
})

test("a plain hasher makes all hashes unless told which", async () => {
  const sequence = storedSequence({ tokens: 9 })
  assert.deepEqual(await plainHasher.hash(sequence, 4), fingerprintBlocks(sequence))
})
