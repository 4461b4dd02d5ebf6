import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { type FaultRequest, faults, parseFault, placeFault, plantFault } from "./faults.ts"
import { fingerprintBlocks, type StoredSequence } from "./fingerprint.ts"
import { firstDifferentBlock } from "./first-difference.ts"
import { placesThatDiffer, type StoredOptions, snapshot, storedSequence } from "./stored.test.kit.ts"

test("parseFault() reads a fault with as much of its place as is given", () => {
  assert.deepEqual(parseFault("kv-swapped"), { fault: "kv-swapped" })
  assert.deepEqual(parseFault("float-off:3"), { fault: "float-off", layer: 3 })
  assert.deepEqual(parseFault("float-off:3,0"), { fault: "float-off", layer: 3, block: 0 })
  assert.deepEqual(parseFault("heads-swapped:0,1,2"), { fault: "heads-swapped", layer: 0, block: 1, head: 2 })
})

test("parseFault() refuses everything else, with the list of faults", () => {
  const wrong = [
    "",
    "nonsense",
    "__proto__",
    "toString",
    "kv-swapped:",
    "kv-swapped:1,",
    "kv-swapped:1,2,3,4",
    "kv-swapped:-1",
    "kv-swapped:1.5",
    "kv-swapped:x",
    "kv-swapped:1:2",
    "kv-swapped:9999999999",
    " kv-swapped",
    "x".repeat(10_000),
  ]
  for (const text of wrong) {
    assert.throws(
      () => parseFault(text),
      (error) => {
        assert.ok(error instanceof KvError && error.code === "KV_USAGE", text)
        for (const fault of Object.keys(faults)) assert.ok(error.next?.includes(fault))
        assert.ok(error.what.length < 200)
        return true
      },
      JSON.stringify(text.slice(0, 40)),
    )
  }
})

/** The names of places: one layer, some positions, planes, heads and slots. */
function places(
  layer: number,
  position: number,
  planes: number[],
  heads: number[],
  slots: number[],
): string[] {
  return planes.flatMap((plane) =>
    heads.flatMap((head) => slots.map((slot) => `${layer}.${position}.${plane}.${head}.${slot}`)),
  )
}

const both = [0, 1]
const all = [0, 1, 2, 3]
/** 14 tokens: positions 0 to 2 are full, position 3 has two tokens. */
const shape: StoredOptions = { tokens: 14, blockTokens: 4, heads: 3, layers: 4, headDim: 4 }
const stale = (sequence: StoredSequence): number =>
  Array.from({ length: sequence.layout.blocks }, (_, id) => id).find((id) => !sequence.blocks.includes(id))!

interface Case {
  readonly request: FaultRequest
  readonly changes: readonly string[]
  readonly place: { readonly layer: number; readonly block: number }
}

const cases: Case[] = [
  {
    request: { fault: "kv-swapped" },
    changes: places(2, 1, both, [0, 1, 2], all),
    place: { layer: 2, block: 1 },
  },
  {
    request: { fault: "kv-swapped", layer: 0, block: 3, head: 1 },
    changes: places(0, 3, both, [1], [0, 1]),
    place: { layer: 0, block: 3 },
  },
  {
    request: { fault: "block-zeroed" },
    changes: places(2, 1, both, [0, 1, 2], all),
    place: { layer: 2, block: 1 },
  },
  {
    request: { fault: "block-zeroed", layer: 3, block: 0, head: 2 },
    changes: places(3, 0, both, [2], all),
    place: { layer: 3, block: 0 },
  },
  {
    request: { fault: "stale-block", layer: 1, block: 3 },
    changes: places(1, 3, both, [0, 1, 2], [0, 1]),
    place: { layer: 1, block: 3 },
  },
  {
    request: { fault: "heads-swapped" },
    changes: places(2, 1, both, [0, 1], all),
    place: { layer: 2, block: 1 },
  },
  {
    request: { fault: "heads-swapped", head: 2 },
    changes: places(2, 1, both, [0, 2], all),
    place: { layer: 2, block: 1 },
  },
  {
    request: { fault: "last-row-missing" },
    changes: places(2, 3, both, [0, 1, 2], [1]),
    place: { layer: 2, block: 3 },
  },
  {
    request: { fault: "last-row-missing", layer: 0, head: 1 },
    changes: places(0, 3, both, [1], [1]),
    place: { layer: 0, block: 3 },
  },
  {
    request: { fault: "blocks-exchanged" },
    changes: [...places(2, 1, both, [0, 1, 2], all), ...places(2, 2, both, [0, 1, 2], all)],
    place: { layer: 2, block: 1 },
  },
  {
    request: { fault: "blocks-exchanged", block: 1 },
    changes: [...places(2, 1, both, [0, 1, 2], all), ...places(2, 2, both, [0, 1, 2], all)],
    place: { layer: 2, block: 1 },
  },
  { request: { fault: "float-off" }, changes: places(2, 1, [0], [0], [0]), place: { layer: 2, block: 1 } },
  {
    request: { fault: "float-off", layer: 1, block: 3, head: 2 },
    changes: places(1, 3, [0], [2], [0]),
    place: { layer: 1, block: 3 },
  },
  {
    request: { fault: "layers-shifted" },
    changes: [1, 2, 3].flatMap((layer) => [
      ...[0, 1, 2].flatMap((position) => places(layer, position, both, [0, 1, 2], all)),
      ...places(layer, 3, both, [0, 1, 2], [0, 1]),
    ]),
    place: { layer: 1, block: 0 },
  },
]

for (const order of ["head-major", "token-major"] as const) {
  for (const { request, changes, place } of cases) {
    const { fault, ...where } = request
    test(`${fault} ${JSON.stringify(where)} in a ${order} cache changes exactly what it says, where it says`, () => {
      const sequence = storedSequence({ ...shape, order })
      const before = snapshot(sequence)
      const hashes = fingerprintBlocks(sequence)
      const planted = plantFault(sequence, request, stale(sequence))
      assert.deepEqual(planted, { possible: true, ...place })
      const found = placesThatDiffer(before, sequence)
      // A shifted layer is copied block by block, with what lies behind the last token.
      if (fault === "layers-shifted") found.delete("nobody's")
      assert.deepEqual([...found].sort(), [...changes].sort())
      assert.deepEqual(firstDifferentBlock(hashes, fingerprintBlocks(sequence), 4), place)
    })
  }
}

test("every fault that is listed has a case here", () => {
  const covered = new Set(cases.map(({ request }) => request.fault))
  assert.deepEqual([...covered].sort(), Object.keys(faults).sort())
})

test("a fault that cannot be planted changes nothing and says why", () => {
  const impossible: [StoredOptions, FaultRequest, RegExp, (number | undefined)?][] = [
    [shape, { fault: "float-off", layer: 4 }, /no layer 4: the model has 4/],
    [shape, { fault: "float-off", block: 4 }, /no block 4: 14 tokens have 4/],
    [shape, { fault: "float-off", head: 3 }, /no head 3: the model has 3/],
    [{ ...shape, heads: 1 }, { fault: "heads-swapped" }, /one key\/value head/],
    [{ ...shape, layers: 1 }, { fault: "layers-shifted" }, /one layer/],
    [{ ...shape, tokens: 7 }, { fault: "blocks-exchanged" }, /1 full blocks/],
    [shape, { fault: "blocks-exchanged", block: 2 }, /block 2 and the next one are not both full/],
    [{ ...shape, tokens: 0 }, { fault: "last-row-missing" }, /0 tokens have 0/],
    [shape, { fault: "stale-block" }, /no other request/],
  ]
  for (const [options, request, why] of impossible) {
    const sequence = storedSequence(options)
    const before = snapshot(sequence)
    const planted = plantFault(sequence, request)
    assert.equal(planted.possible, false, request.fault)
    if (!planted.possible) assert.match(planted.why, why)
    assert.equal(placesThatDiffer(before, sequence).size, 0)
    // Whether a stale block is there is known only in the pool.
    if (request.fault !== "stale-block") {
      assert.deepEqual(placeFault(sequence.layout, sequence.tokens, request), planted)
    }
  }
})

test("a cache of two-byte numbers has no float to be off, and keeps its bytes", () => {
  const sequence = storedSequence({ ...shape, headDim: 1 })
  const halves = { ...sequence.layout, shape: { ...sequence.layout.shape, elementBytes: 2, headDim: 1 } }
  const half = { ...sequence, layout: halves }
  const before = snapshot(half)
  const planted = plantFault(half, { fault: "float-off" })
  assert.equal(planted.possible, false)
  assert.deepEqual(snapshot(half), before)
})
