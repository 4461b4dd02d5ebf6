import assert from "node:assert/strict"
import { test } from "node:test"
import { wholeModelLayout } from "../kv/kv-layout.ts"
import { PlainMapping } from "../memory/plain-memory.test.kit.ts"
import { fingerprintBlocks, type StoredSequence } from "../verify/fingerprint.ts"
import { type Hasher, plainHasher } from "../verify/hasher.ts"
import { Seals } from "./seals.ts"

const layout = wholeModelLayout({ layers: 2, kvHeads: 2, headDim: 4, elementBytes: 4 }, { blocks: 8 })

/** Seals over a pool of random bytes, and every (layer, position) that was hashed. */
function openSeals() {
  const spans = [0, 1].map((layer) => new PlainMapping(8 * 16 * 2 * 2 * 4 * 4, `layer-${layer}`))
  for (const span of spans) crypto.getRandomValues(span.view(0, span.byteLength))
  const epochs = new Map<number, number>()
  const hashed: number[] = []
  const waiting: (() => void)[] = []
  let [held, broken] = [false, false]
  const hasher: Hasher = {
    async hash(sequence, unitTokens, units) {
      hashed.push(...(units ?? []))
      if (held) await new Promise<void>((resolve) => waiting.push(resolve))
      if (broken) throw new Error("the hasher is gone")
      return plainHasher.hash(sequence, unitTokens, units)
    },
  }
  const sequence = (blocks: number[], tokens: number): StoredSequence => ({
    layout,
    spans,
    blocks: Uint32Array.from(blocks),
    tokens,
  })
  return {
    seals: new Seals(hasher, (block) => epochs.get(block) ?? 0),
    hashed,
    sequence,
    reuse: (block: number) => void epochs.set(block, (epochs.get(block) ?? 0) + 1),
    fill: (block: number) => void crypto.getRandomValues(spans[0]!.view(block * 1024, 64)),
    hold: () => {
      held = true
    },
    letGo: () => {
      held = false
      for (const go of waiting.splice(0)) go()
    },
    breakDown: (how = true) => {
      broken = how
    },
  }
}

test("seals are the sequence's hashes, and each block is hashed once, whoever shares it", async () => {
  const { seals, hashed, sequence } = openSeals()
  const first = sequence([3, 1, 6], 48)
  assert.deepEqual(await seals.seal(first), fingerprintBlocks(first))
  assert.equal(hashed.length, 6)
  assert.deepEqual(await seals.seal(first), fingerprintBlocks(first))
  const second = sequence([3, 1, 2], 40)
  assert.deepEqual(await seals.seal(second), fingerprintBlocks(second))
  assert.equal(hashed.length, 8, "two blocks are a common prefix")
})

test("a block that was reused is hashed anew", async () => {
  const { seals, hashed, sequence, reuse, fill } = openSeals()
  const lent = sequence([3, 1], 32)
  await seals.seal(lent)
  reuse(1)
  fill(1)
  hashed.length = 0
  assert.deepEqual(await seals.seal(lent), fingerprintBlocks(lent))
  assert.deepEqual(hashed, [1, 3], "block 1 is at position 1, in both layers")
})

test("a last block that has grown is hashed anew, and so is one that stands elsewhere", async () => {
  const { seals, hashed, sequence } = openSeals()
  await seals.seal(sequence([3, 1], 20))
  const longer = sequence([3, 1], 21)
  hashed.length = 0
  assert.deepEqual(await seals.seal(longer), fingerprintBlocks(longer))
  assert.equal(hashed.length, 2)
  const moved = sequence([1, 3], 32)
  hashed.length = 0
  assert.deepEqual(await seals.seal(moved), fingerprintBlocks(moved))
  assert.equal(hashed.length, 4, "a seal is of a block at its place")
})

test("who asks while a block is being hashed waits for that, and it is not hashed twice", async () => {
  const { seals, hashed, sequence, hold, letGo } = openSeals()
  hold()
  const both = [seals.seal(sequence([3, 1], 32)), seals.seal(sequence([3, 1, 5], 48))]
  letGo()
  assert.deepEqual(await both[0], fingerprintBlocks(sequence([3, 1], 32)))
  assert.deepEqual(await both[1], fingerprintBlocks(sequence([3, 1, 5], 48)))
  assert.equal(hashed.length, 6)
})

test("a block that is reused while it is hashed does not take that hash along", async () => {
  const { seals, sequence, hold, letGo, reuse, fill } = openSeals()
  hold()
  const early = seals.seal(sequence([4], 16))
  letGo()
  reuse(4)
  await early
  fill(4)
  assert.deepEqual(await seals.seal(sequence([4], 16)), fingerprintBlocks(sequence([4], 16)))
})

test("a hasher that fails is told to all who waited, and asked again by the next", async () => {
  const { seals, hashed, sequence, hold, letGo, breakDown } = openSeals()
  hold()
  breakDown()
  const both = [seals.seal(sequence([3], 16)), seals.seal(sequence([3, 1], 32))]
  const ended = Promise.all(both.map((sealing) => assert.rejects(sealing, /hasher is gone/)))
  letGo()
  await ended
  breakDown(false)
  hashed.length = 0
  assert.deepEqual(await seals.seal(sequence([3, 1], 32)), fingerprintBlocks(sequence([3, 1], 32)))
  assert.equal(hashed.length, 4)
})

test("blocks that somebody else will fill are forgotten", async () => {
  const { seals, hashed, sequence, fill } = openSeals()
  await seals.seal(sequence([3, 1], 32))
  seals.forget(Uint32Array.of(1))
  fill(1)
  hashed.length = 0
  assert.deepEqual(await seals.seal(sequence([3, 1], 32)), fingerprintBlocks(sequence([3, 1], 32)))
  assert.equal(hashed.length, 2)
})
