import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { type Grant, grantMillisMax, grantRegionsMax, readGrant } from "./grant.ts"
import { anyGrant } from "./messages.test.kit.ts"

const good = {
  version: 1,
  bootId: "0123456789abcdef0123456789abcdef",
  direction: "read",
  regions: [0, 7],
  expiresMillis: 60_000,
  endpoints: [
    {
      address: { transport: "tcp", host: "10.0.0.1", ports: [4000, 4001] },
      regions: [
        { region: 0, length: 131_072, rkeys: [1, 2], iova: 0 },
        { region: 7, length: 131_072, rkeys: [3, 0], iova: 7 },
      ],
    },
  ],
} as const satisfies Grant

function assertRefused(value: unknown, about: string): void {
  assert.throws(
    () => readGrant(value),
    (error) => {
      assert.ok(error instanceof KvError && error.code === "KV_WIRE_INVALID", `${about}: ${String(error)}`)
      return true
    },
    about,
  )
}

const [endpoint] = good.endpoints
const withRegions = (regions: unknown): unknown => ({ ...good, endpoints: [{ ...endpoint, regions }] })
const withFirst = (change: object): unknown =>
  withRegions([{ ...endpoint.regions[0], ...change }, endpoint.regions[1]])
const withAddress = (address: unknown): unknown => ({ ...good, endpoints: [{ ...endpoint, address }] })

test("a grant comes out as it went in", () => {
  assert.deepEqual(readGrant(JSON.parse(JSON.stringify(good))), good)
  fc.assert(fc.property(anyGrant, (grant) => assert.deepEqual(readGrant(grant), structuredClone(grant))))
})

test("a grant of another version, direction or boot is refused", () => {
  for (const version of [0, 2, "1", undefined]) assertRefused({ ...good, version }, String(version))
  for (const direction of ["", "both", "READ", null]) assertRefused({ ...good, direction }, String(direction))
  assertRefused({ ...good, bootId: "00" }, "a short boot id")
})

test("a grant ends, within a day", () => {
  for (const expiresMillis of [0, -1, 0.5, grantMillisMax + 1, Number.POSITIVE_INFINITY, "60000"])
    assertRefused({ ...good, expiresMillis }, String(expiresMillis))
  assert.equal(readGrant({ ...good, expiresMillis: grantMillisMax }).expiresMillis, grantMillisMax)
})

test("regions are named once, and each fabric describes exactly them, in their order", () => {
  assertRefused({ ...good, regions: [], endpoints: [] }, "no region")
  assertRefused({ ...good, regions: [0, 0] }, "a region twice")
  assertRefused({ ...good, regions: [0] }, "one descriptor too many")
  assertRefused({ ...good, regions: [0, 7, 8] }, "one descriptor too few")
  assertRefused({ ...good, regions: [7, 0] }, "another order")
  assertRefused({ ...good, regions: [0, 8] }, "another region")
  assert.deepEqual(readGrant({ ...good, endpoints: [] }).endpoints, [])
})

test("numbers that make no sense, or that a plan's 32-bit columns cannot hold, are refused", () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, -1, 0.5, 2 ** 53, 1e300, "4", null, [4]]) {
    assertRefused(withFirst({ region: bad }), `region = ${String(bad)}`)
    assertRefused(withFirst({ length: bad }), `length = ${String(bad)}`)
    assertRefused(withFirst({ iova: bad }), `iova = ${String(bad)}`)
    assertRefused(withFirst({ rkeys: [bad] }), `rkey = ${String(bad)}`)
  }
  assertRefused(withFirst({ rkeys: [2 ** 32] }), "rkey 2^32")
  assertRefused({ ...good, regions: [2 ** 32], endpoints: [] }, "region 2^32")
  assertRefused(withFirst({ rkeys: [] }), "a region without a key")
})

test("huge lists are refused", () => {
  const regions = Array.from({ length: grantRegionsMax + 1 }, (_, region) => region)
  assert.equal(readGrant({ ...good, regions: regions.slice(1), endpoints: [] }).regions.length, 1025)
  assertRefused({ ...good, regions, endpoints: [] }, "1,026 regions")
  assertRefused(withFirst({ rkeys: Array(65).fill(1) }), "65 rkeys")
  assertRefused({ ...good, endpoints: Array(17).fill(endpoint) }, "17 endpoints")
  assertRefused(withAddress({ transport: "tcp", ports: Array(65).fill(1) }), "65 ports")
  assertRefused(withAddress({ transport: "tcp", host: "x".repeat(257) }), "a host of 257 letters")
  const wide = Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`f${at}`, at]))
  assertRefused(withAddress({ transport: "tcp", ...wide }), "18 fields of an address")
})

test("an address is flat: objects, booleans and lists of lists are refused", () => {
  for (const host of [{}, [[1]], [{}], true, null])
    assertRefused(withAddress({ transport: "tcp", host }), JSON.stringify(host))
  for (const address of [null, [], "tcp", { host: "x" }, { transport: 1 }, { transport: "x".repeat(33) }])
    assertRefused(withAddress(address), JSON.stringify(address))
})

test("names of the language are no fields of an address, and change no prototype", () => {
  for (const name of ["__proto__", "constructor", "toString", "valueOf"]) {
    assertRefused(withAddress(JSON.parse(`{"transport":"tcp","${name}":"x"}`)), name)
  }
  assertRefused(withAddress(JSON.parse('{"__proto__":{"transport":"tcp"}}')), "an address by inheritance")
  assert.equal("polluted" in {}, false)
})
