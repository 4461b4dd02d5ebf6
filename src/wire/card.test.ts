import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { type Card, readCard } from "./card.ts"

const good = {
  version: 2,
  agentId: "prefill-1",
  bootId: "0123456789abcdef0123456789abcdef",
  pid: 1234,
  software: "0.1.0",
  model: "f".repeat(64),
  layout: {
    shape: { layers: 2, kvHeads: 4, headDim: 16, elementBytes: 4 },
    order: "head-major",
    blockTokens: 16,
    blocks: 64,
    firstHead: 0,
    heads: 4,
  },
  transports: ["shm", "tcp"],
  epochs: { region: 2 },
} as const satisfies Card

function assertRefused(value: unknown, about: string): void {
  assert.throws(
    () => readCard(value),
    (error) => {
      assert.ok(error instanceof KvError, `${about}: ${String(error)}`)
      assert.ok(error.code === "KV_WIRE_INVALID", `${about}: ${error.message}`)
      return true
    },
    about,
  )
}

const withLayout = (layout: object): unknown => ({ ...good, layout: { ...good.layout, ...layout } })
const withShape = (shape: object): unknown => withLayout({ shape: { ...good.layout.shape, ...shape } })
test("a card comes out as it went in", () => {
  assert.deepEqual(readCard(JSON.parse(JSON.stringify(good))), good)
})

test("numbers that make no sense are refused wherever they stand", () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, -1, 0.5, 2 ** 53, 1e300, "4", null, [4]]) {
    for (const name of ["layers", "kvHeads", "headDim", "elementBytes"]) {
      assertRefused(withShape({ [name]: bad }), `${name} = ${String(bad)}`)
    }
    for (const name of ["blockTokens", "blocks", "firstHead", "heads"]) {
      assertRefused(withLayout({ [name]: bad }), `${name} = ${String(bad)}`)
    }
    assertRefused({ ...good, pid: bad }, `pid = ${String(bad)}`)
    assertRefused({ ...good, epochs: { region: bad } }, `epochs = ${String(bad)}`)
  }
})

test("zeros where nothing can be zero, and products beyond 2^53, are refused", () => {
  for (const name of ["layers", "kvHeads", "headDim", "elementBytes"])
    assertRefused(withShape({ [name]: 0 }), name)
  for (const name of ["blockTokens", "blocks", "heads"]) assertRefused(withLayout({ [name]: 0 }), name)
  assertRefused(withLayout({ blocks: 2 ** 50, blockTokens: 2 ** 20 }), "a layer of 2^80 bytes")
  assertRefused(withShape({ headDim: Number.MAX_SAFE_INTEGER }), "a row of 2^55 bytes")
})

test("heads that the model has not are refused", () => {
  assertRefused(withLayout({ firstHead: 1 }), "heads 1 to 4 of 4")
  assertRefused(withLayout({ firstHead: Number.MAX_SAFE_INTEGER - 4 }), "a head beyond all")
})

test("a card of another version is refused with both versions", () => {
  for (const version of [1, 3, "2", undefined]) assertRefused({ ...good, version }, String(version))
  assert.throws(() => readCard({ ...good, version: 3 }), /version should be 2, and is 3/)
})

test("fabrics are few and have plain names; epochs are a region with a number of 32 bits", () => {
  assertRefused({ ...good, transports: Array(17).fill("tcp") }, "17 transports")
  for (const name of ["", "x".repeat(33), "t c p", "\u001b[1m", 5, null])
    assertRefused({ ...good, transports: [name] }, JSON.stringify(name))
  for (const epochs of [null, 1, [], {}, { region: 2 ** 32 }]) assertRefused({ ...good, epochs }, "epochs")
  const { epochs: _, ...without } = good
  assert.deepEqual(readCard(without), without)
})

test("__proto__ and its kin change no prototype, neither the card's nor anybody's", () => {
  const text = JSON.stringify(good).replace('"agentId"', '"__proto__":{"polluted":1},"agentId"')
  const card = readCard(JSON.parse(text))
  assert.equal(Object.getPrototypeOf(card), Object.prototype)
  assert.equal("polluted" in card, false)
  assertRefused({ ...good, layout: Object.create(good.layout) }.layout, "a layout in place of a card")
  assert.equal("polluted" in {}, false)
})

test("an order that nobody stores in is refused, and the reader is told which are known", () => {
  assert.throws(() => readCard(withLayout({ order: "diagonal" })), /head-major or token-major/)
})
