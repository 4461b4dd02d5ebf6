import assert from "node:assert/strict"
import { test } from "node:test"
import { defaultRdmaSettings } from "../../config/rdma-settings.ts"
import { KvError } from "../../errors/kv-error.ts"
import { readRdmaDevices } from "../../os/rdma-devices.ts"
import { createLibfabric } from "./libfabric.ts"
import { noLibfabric } from "./two-rails.test.kit.ts"

const skip = noLibfabric()
const efa = readRdmaDevices().some(({ driver }) => driver === "efa") ? "this machine has EFA" : false

const nics = readRdmaDevices().length > 0 ? "this machine has RDMA" : false

async function refusal(
  fabricProviders: readonly ("efa" | "verbs;ofi_rxm" | "tcp")[],
  host = "127.0.0.1",
): Promise<KvError> {
  const transport = createLibfabric({ rdma: { ...defaultRdmaSettings, fabricProviders } })
  try {
    const endpoint = await transport.open({ host, rails: 1 })
    await endpoint[Symbol.asyncDispose]()
  } catch (thrown) {
    assert.ok(thrown instanceof KvError, String(thrown))
    return thrown
  }
  return assert.fail("it was opened")
}

test("efa where there is none is refused: which library, what it answered, and where a device was looked for", {
  skip: skip || efa,
}, async () => {
  const error = await refusal(["efa"])
  assert.equal(error.code, "KV_TRANSPORT_UNAVAILABLE")
  assert.match(error.what, /^libfabric \d+\.\d+ \(\/.*libfabric.*\) offers none of efa here$/)
  assert.match(error.why ?? "", /^efa: fi_getinfo answered .+ \(-\d+\), and \/sys\/class\/infiniband /)
  assert.match(error.next ?? "", /--fabric-provider/)
})

test("relaxed ordering that is insisted on is refused; where it is only welcome, libfabric goes without", {
  skip,
}, async () => {
  for (const relaxedOrdering of ["on", "auto", "off"] as const) {
    const rdma = { ...defaultRdmaSettings, fabricProviders: ["tcp" as const], relaxedOrdering }
    const opened = createLibfabric({ rdma }).open({ host: "127.0.0.1", rails: 1 })
    if (relaxedOrdering !== "on") await (await opened)[Symbol.asyncDispose]()
    else
      await assert.rejects(opened, {
        code: "KV_TRANSPORT_UNAVAILABLE",
        message: /relaxed ordering was asked for \(on, default\) and cannot be had over libfabric/,
      })
  }
})

test("nothing is taken in place of what was asked for, and every refusal is told", {
  skip: skip || nics,
}, async () => {
  const error = await refusal(["efa", "verbs;ofi_rxm"])
  assert.equal(error.code, "KV_TRANSPORT_UNAVAILABLE")
  assert.match(error.why ?? "", /^efa: .*; verbs;ofi_rxm: fi_getinfo answered .*\/dev\/infiniband/)
})
