import assert from "node:assert/strict"
import { test } from "node:test"
import { blockBytes, headBytes, planeBytes, regionBytes, rowBytes } from "./cache-places.ts"
import type { Cause } from "./causes.ts"
import type { MovedRun } from "./classify.ts"
import { differencesBetween } from "./differences.ts"
import { type Explanation, explain, type WrongRegion } from "./explain.ts"
import { Pattern } from "./pattern.ts"

const cache = {
  layers: 13,
  blocks: 96,
  blockTokens: 8,
  kvHeads: 2,
  firstHead: 0,
  heads: 2,
  headDim: 16,
  elementBytes: 2,
}
const agents = [
  { name: "prefill", cache },
  { name: "decode", cache },
  { name: "other", cache },
]
const pattern = new Pattern(42)
const [source, target, other] = [0, 1, 2]
const layer = 12
const block = blockBytes(cache)
/** Source block and target block of each piece. */
const table = [
  [40, 90],
  [7, 11],
  [30, 12],
] as const

/** The target of a right transfer of three blocks, and then what `plant` makes of it. */
function convict(
  plant: (found: Uint8Array) => void,
  length = block,
  landed: readonly (readonly [number, number])[] = table,
): Explanation | undefined {
  const expected = pattern.bytesAt(
    { owner: target, region: layer, epoch: 0, poison: true },
    0,
    regionBytes(cache),
  )
  const runs: MovedRun[] = table.map(([from, to]) => ({
    targetOffset: to * block,
    length,
    owner: source,
    region: layer,
    sourceOffset: from * block,
  }))
  for (const [from, to] of landed) expected.set(bytesOf({ block: from }).subarray(0, length), to * block)
  const found = expected.slice()
  plant(found)
  const differences = differencesBetween(expected, found)
  if (differences === undefined) return undefined
  const region: WrongRegion = { owner: target, region: layer, expected, found, runs, differences }
  return explain(pattern, agents, [region], new Map([[target, [runs]]]))
}

function bytesOf(of: { owner?: number; region?: number; epoch?: number; block: number; shift?: number }) {
  const filling = {
    owner: of.owner ?? source,
    region: of.region ?? layer,
    epoch: of.epoch ?? 9,
    poison: false,
  }
  return pattern.bytesAt(filling, of.block * block + (of.shift ?? 0), block)
}

function poisonAt(offset: number, length: number): Uint8Array {
  return pattern.bytesAt({ owner: target, region: layer, epoch: 0, poison: true }, offset, length)
}

test("convicts: what comes when a failed transfer has ended", () => {
  const late = convict((found) => found.set(bytesOf({ block: 30 }), 12 * block), block, table.slice(0, 2))
  assert.equal(late?.cause, "after-end")
  assert.match(
    late.text,
    /holds layer 12 block 30 .* of prefill, epoch 9 in place of the poison of layer 12 block 12/,
  )
})

test("right bytes are not convicted", () =>
  assert.equal(
    convict(() => {}),
    undefined,
  ))

const everyBlock = (of: Parameters<typeof bytesOf>[0]) => (found: Uint8Array) => {
  for (const [, to] of table) found.set(bytesOf(of), to * block)
}

const lies: Record<string, { plant: (found: Uint8Array) => void; cause: Cause; says: RegExp; map?: RegExp }> =
  {
    "the base address of the region": {
      plant: everyBlock({ block: 0 }),
      cause: "base-address",
      says: /decode layer 12 block 11 .* holds layer 12 block 0 .* of prefill, epoch 9 in place of layer 12 block 7 .*base address/,
      map: /^\.{11}bb\.{77}b\.{5}$/,
    },
    "another block": {
      plant: (found) => found.set(bytesOf({ block: 8 }), 11 * block),
      cause: "other-block",
      says: /layer 12 block 8/,
      map: /^\.{11}xo/,
    },
    "another layer": {
      plant: (found) => found.set(bytesOf({ block: 7, region: 11 }), 11 * block),
      cause: "other-layer",
      says: /layer 11 block 7/,
    },
    "another agent's bytes": {
      plant: (found) => found.set(bytesOf({ block: 7, owner: other }), 11 * block),
      cause: "other-agent",
      says: /of other/,
    },
    "an older epoch": {
      plant: (found) => found.set(bytesOf({ block: 7, epoch: 8 }).subarray(64), 11 * block + 64),
      cause: "stale",
      says: /epoch 8/,
      map: /^\.{11}s/,
    },
    "a newer epoch": {
      plant: (found) => found.set(bytesOf({ block: 7, epoch: 10 }), 11 * block),
      cause: "newer",
      says: /epoch 10/,
    },
    "keys and values swapped": {
      plant: (found) => {
        const bytes = bytesOf({ block: 7 })
        found.set(bytes.subarray(planeBytes(cache)), 11 * block)
        found.set(bytes.subarray(0, planeBytes(cache)), 11 * block + planeBytes(cache))
      },
      cause: "swapped-planes",
      says: /values of head 0/,
    },
    "another head": {
      plant: (found) =>
        found.set(bytesOf({ block: 7 }).subarray(headBytes(cache), 2 * headBytes(cache)), 11 * block),
      cause: "other-head",
      says: /head 1/,
    },
    "shifted by 3 bytes": {
      plant: (found) => found.set(bytesOf({ block: 7, shift: 3 }), 11 * block),
      cause: "shifted",
      says: /by 3 bytes/,
    },
    "shifted by -8 bytes": {
      plant: (found) => found.set(bytesOf({ block: 7, shift: -8 }), 11 * block),
      cause: "shifted",
      says: /by -8 bytes/,
    },
    "shifted by a token": {
      plant: (found) => found.set(bytesOf({ block: 7, shift: rowBytes(cache) }), 11 * block),
      cause: "shifted",
      says: /by 32 bytes/,
    },
    "nothing moved": {
      plant: (found) => {
        for (const [, to] of table) found.set(poisonAt(to * block, block), to * block)
      },
      cause: "nothing-moved",
      says: /poison of layer 12 block 11/,
      map: /^\.{11}pp/,
    },
    "the last piece lost": {
      plant: (found) => found.set(poisonAt(12 * block, block), 12 * block),
      cause: "lost-piece",
      says: /never written/,
    },
    "the last byte lost": {
      plant: (found) => found.set(poisonAt(12 * block - 1, 1), 12 * block - 1),
      cause: "lost-tail",
      says: /1 bytes are wrong/,
    },
    "a tail lost": {
      plant: (found) => found.set(poisonAt(12 * block - 100, 100), 12 * block - 100),
      cause: "lost-tail",
      says: /(9\d|100) bytes/,
    },
    "a head lost": {
      plant: (found) => found.set(poisonAt(11 * block, 100), 11 * block),
      cause: "lost-head",
      says: /(9\d|100) bytes/,
    },
    "a part lost": {
      plant: (found) => found.set(poisonAt(11 * block + 64, 64), 11 * block + 64),
      cause: "lost-part",
      says: /6\d bytes/,
    },
    zeros: {
      plant: (found) => found.fill(0, 11 * block, 12 * block),
      cause: "zeros",
      says: /zeros/,
      map: /^\.{11}zo/,
    },
    "a write outside": {
      plant: (found) => found.set(bytesOf({ block: 7 }), 50 * block),
      cause: "outside",
      says: /block 50 .*layer 12 block 7/,
      map: /!/,
    },
    "the base address of the region, written": {
      plant: (found) => {
        for (const [from, to] of table) {
          found.set(bytesOf({ block: from }), 0)
          found.set(poisonAt(to * block, block), to * block)
        }
      },
      cause: "base-address-written",
      says: /decode layer 12 block 0 .* holds layer 12 block 30 .*base address of the region was written/,
      map: /^b\.{10}pp/,
    },
    "one byte too many": {
      plant: (found) => found.set([1], 13 * block),
      cause: "outside",
      says: /1 bytes are wrong/,
    },
    "a flipped bit": {
      plant: (found) => {
        found[11 * block + 77]! ^= 4
      },
      cause: "bit-flip",
      says: /single bits/,
    },
    noise: {
      plant: (found) => {
        for (let i = 0; i < 512; i++) found[11 * block + i] = (i * 197 + 3) & 255
      },
      cause: "unknown",
      says: /none of the judge's/,
      map: /\?/,
    },
  }

for (const [name, { plant, cause, says, map }] of Object.entries(lies)) {
  test(`explains: ${name}`, () => {
    const explanation = convict(plant)
    assert.ok(explanation !== undefined, "it was not found")
    assert.equal(explanation.cause, cause, explanation.text)
    assert.match(explanation.text, says)
    if (map !== undefined) assert.match(explanation.maps[0]!.blocks, map)
  })
}

test("explains pieces that are shorter than a word: base address, and untouched", () => {
  for (const length of [4, 5, 7]) {
    const base = convict((found) => {
      for (const [, to] of table) found.set(bytesOf({ block: 0, epoch: 0 }).subarray(0, length), to * block)
    }, length)
    // The pattern of block 0 stands in epoch 0, as before any sequence.
    assert.equal(base?.cause, "base-address", base?.text)
    const untouched = convict((found) => {
      for (const [, to] of table) found.set(poisonAt(to * block, length), to * block)
    }, length)
    assert.equal(untouched?.cause, "nothing-moved", untouched?.text)
  }
})

test("bytes in a region of an agent that received nothing are a changed source", () => {
  const expected = pattern.bytesAt(
    { owner: source, region: 0, epoch: 9, poison: false },
    0,
    regionBytes(cache),
  )
  const found = expected.slice()
  found[5000]! ^= 1
  const differences = differencesBetween(expected, found)!
  const region = { owner: source, region: 0, expected, found, runs: [], differences }
  assert.equal(explain(pattern, agents, [region], new Map()).cause, "source-changed")
})

test("convicts: the base address, for neighbours that an engine has made one piece of", () => {
  const neighbours: readonly (readonly [number, number])[] = [
    [40, 20],
    [41, 21],
    [42, 22],
    [60, 30],
  ]
  const runs = neighbours.map(([from, to]) => ({
    targetOffset: to * block,
    length: block,
    owner: source,
    region: layer,
    sourceOffset: from * block,
  }))
  const explained = (landed: readonly (readonly [from: number, to: number])[]): Explanation => {
    const expected = poisonAt(0, regionBytes(cache))
    const found = expected.slice()
    for (const [from, to] of neighbours) expected.set(bytesOf({ block: from }), to * block)
    for (const [from, to] of landed) found.set(bytesOf({ block: from }), to * block)
    const differences = differencesBetween(expected, found)!
    const region: WrongRegion = { owner: target, region: layer, expected, found, runs, differences }
    return explain(pattern, agents, [region], new Map([[target, [runs]]]))
  }
  const read = explained([
    [0, 20],
    [1, 21],
    [2, 22],
    [0, 30],
  ])
  assert.equal(read.cause, "base-address")
  assert.doesNotMatch(read.text, /other-block/)
  const written = explained([
    [40, 0],
    [41, 1],
    [42, 2],
    [60, 30],
  ])
  assert.equal(written.cause, "base-address-written")
  // One block after the other, but not from the region's start: something else.
  const other = explained([
    [3, 20],
    [4, 21],
    [5, 22],
    [6, 30],
  ])
  assert.equal(other.cause, "other-block")
})
