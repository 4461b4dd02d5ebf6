import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { type Card, readCard } from "./card.ts"

const good = {
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
  endpoints: [
    {
      address: { transport: "tcp", host: "10.0.0.1", ports: [4000, 4001] },
      regions: [
        { region: 0, length: 131_072, rkeys: [1, 2], iova: 0 },
        { region: 1, length: 131_072, rkeys: [3, 4], iova: 7 },
      ],
    },
  ],
} as const satisfies Card

function assertRefused(value: unknown, about: string): void {
  assert.throws(
    () => readCard(value),
    (error) => {
      assert.ok(error instanceof KvError, `${about}: ${String(error)}`)
      assert.ok(["KV_WIRE_INVALID", "KV_PLAN_IMPOSSIBLE"].includes(error.code), `${about}: ${error.message}`)
      return true
    },
    about,
  )
}

const withLayout = (layout: object): unknown => ({ ...good, layout: { ...good.layout, ...layout } })
const withShape = (shape: object): unknown => withLayout({ shape: { ...good.layout.shape, ...shape } })
const withRegions = (regions: unknown): unknown => ({
  ...good,
  endpoints: [{ ...good.endpoints[0], regions }],
})
const withAddress = (address: unknown): unknown => ({
  ...good,
  endpoints: [{ ...good.endpoints[0], address }],
})

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
    assertRefused(withRegions([{ region: bad, length: 1, rkeys: [1] }]), `region = ${String(bad)}`)
    assertRefused(withRegions([{ region: 0, length: bad, rkeys: [1] }]), `length = ${String(bad)}`)
    assertRefused(withRegions([{ region: 0, length: 1, rkeys: [bad] }]), `rkey = ${String(bad)}`)
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

test("numbers that a plan's 32-bit columns cannot hold are refused", () => {
  assertRefused(withRegions([{ region: 2 ** 32, length: 1, rkeys: [1] }]), "region 2^32")
  assertRefused(withRegions([{ region: 0, length: 1, rkeys: [2 ** 32] }]), "rkey 2^32")
})

test("a region without a key is refused: nothing could reach it", () => {
  assertRefused(withRegions([{ region: 0, length: 1, rkeys: [] }]), "no rkeys")
})

test("huge lists are refused", () => {
  const region = { region: 0, length: 1, rkeys: [1] }
  assertRefused(withRegions(Array(1025).fill(region)), "1,025 regions")
  assertRefused(withRegions([{ ...region, rkeys: Array(65).fill(1) }]), "65 rkeys")
  assertRefused({ ...good, endpoints: Array(17).fill(good.endpoints[0]) }, "17 endpoints")
  assertRefused(withAddress({ transport: "tcp", ports: Array(65).fill(1) }), "65 ports")
  assertRefused(withAddress({ transport: "tcp", host: "x".repeat(257) }), "a host of 257 letters")
})

test("an address is flat: objects, booleans and lists of lists are refused", () => {
  for (const host of [{}, [[1]], [{}], true, null])
    assertRefused(withAddress({ transport: "tcp", host }), JSON.stringify(host))
  for (const address of [null, [], "tcp", { host: "x" }, { transport: 1 }, { transport: "x".repeat(33) }]) {
    assertRefused(withAddress(address), JSON.stringify(address))
  }
})

test("__proto__ and its kin change no prototype, neither the card's nor anybody's", () => {
  const text = JSON.stringify(good).replace('"agentId"', '"__proto__":{"polluted":1},"agentId"')
  const card = readCard(JSON.parse(text))
  assert.equal(Object.getPrototypeOf(card), Object.prototype)
  assert.equal("polluted" in card, false)
  const hostile = JSON.parse('{"transport":"tcp","__proto__":"x","constructor":"y"}')
  const { address } = readCard(withAddress(hostile)).endpoints[0]!
  assert.equal(Object.getPrototypeOf(address), Object.prototype)
  assertRefused(withAddress(JSON.parse('{"__proto__":{"transport":"tcp"}}')), "an address by inheritance")
  assertRefused({ ...good, layout: Object.create(good.layout) }.layout, "a layout in place of a card")
  assert.equal("polluted" in {}, false)
})

test("an order that nobody stores in is refused, and the reader is told which are known", () => {
  assert.throws(() => readCard(withLayout({ order: "diagonal" })), /head-major or token-major/)
})
