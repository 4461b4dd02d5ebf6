import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import type { Crew } from "../movers/crew.ts"
import { readRdmaDevices } from "../os/rdma-devices.ts"
import { defaultPaths, openPaths, transportNames } from "./transports.ts"

/** Nobody's address: a fabric that listens cannot be opened with it. */
const elsewhere = { host: "192.0.2.1", rails: 1, crew: undefined as unknown as Crew }

const codeOf = (code: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof KvError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, words)
  return true
}

test("a path that this machine refuses is left out, and remembered with the reason", async (t) => {
  const { endpoints, policy } = await openPaths(["tcp", "loopback", "tcp"], elsewhere)
  t.after(() => Promise.all(endpoints.map((endpoint) => endpoint[Symbol.asyncDispose]())))
  assert.deepEqual(
    endpoints.map(({ transport }) => transport),
    ["loopback"],
  )
  assert.deepEqual(policy.allowed, ["tcp", "loopback"])
  assert.deepEqual(policy.known, transportNames)
  assert.equal(policy.refused.length, 1)
  assert.equal(policy.refused[0]?.transport, "tcp")
  assert.match(policy.refused[0]!.error.message, /192\.0\.2\.1/)
})

test("a required path that cannot be opened is a refusal, and so is having none at all", async () => {
  await assert.rejects(
    openPaths(["loopback", "tcp"], { ...elsewhere, required: ["tcp"] }),
    codeOf("KV_TRANSPORT_UNAVAILABLE", /tcp is required and cannot be opened here; why: tcp: .*192\.0\.2\.1/),
  )
  await assert.rejects(
    openPaths(["tcp"], elsewhere),
    codeOf("KV_TRANSPORT_UNAVAILABLE", /none of the allowed/),
  )
  await assert.rejects(openPaths([], elsewhere), codeOf("KV_TRANSPORT_UNAVAILABLE", /allows none/))
})

test("unknown names and a policy that contradicts itself are usage errors", async () => {
  await assert.rejects(openPaths(["pigeon"], elsewhere), codeOf("KV_USAGE", /no transport "pigeon".*--paths/))
  await assert.rejects(
    openPaths(["tcp"], { ...elsewhere, required: ["pigeon"] }),
    codeOf("KV_USAGE", /no transport "pigeon".*--require/),
  )
  await assert.rejects(
    openPaths(["tcp"], { ...elsewhere, required: ["loopback"] }),
    codeOf("KV_USAGE", /--require asks for loopback, and --paths allows tcp/),
  )
})

test("the default policy has every path between processes but those that must be named", () => {
  // A machine with an EFA device has libfabric, too.
  const efa = readRdmaDevices().some(({ driver }) => driver === "efa")
  const named = ["loopback", "nixl", ...(efa ? [] : ["libfabric"])]
  assert.deepEqual(
    defaultPaths,
    transportNames.filter((name) => !named.includes(name)),
  )
})
