import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { fabricEnvironment } from "./fabric-environment.ts"
import { fatalVariables, prepareFabricEnvironment } from "./prepare-fabric-environment.ts"
import { defaultRdmaSettings } from "./rdma-settings.ts"
import { resolveRdma } from "./resolve-rdma.ts"

type Mutable = Record<string, string | undefined>

test("what the table calls ours is set, to what it recommends, and returned", () => {
  const env: Mutable = {}
  const set = prepareFabricEnvironment(env, {})
  assert.deepEqual(Object.fromEntries(set.map(({ name, value }) => [name, value])), {
    FI_PROVIDER: "efa,verbs,ofi_rxm,tcp,shm",
    FI_EFA_ENABLE_SHM_TRANSFER: "0",
    FI_HMEM: "system",
    FI_MR_CACHE_MONITOR: "disabled",
    FI_MR_CACHE_MAX_COUNT: "0",
    FI_EFA_FORK_SAFE: "1",
    RDMAV_FORK_SAFE: "1",
  })
  for (const { name, value } of set) assert.equal(env[name], value)
  assert.equal(set.length, fabricEnvironment.filter(({ ours }) => ours).length)
})

test("what a user has set is left as it is, also when it is empty", () => {
  const env: Mutable = { FI_HMEM: "cuda", FI_MR_CACHE_MONITOR: "" }
  prepareFabricEnvironment(env, {})
  assert.deepEqual([env["FI_HMEM"], env["FI_MR_CACHE_MONITOR"]], ["cuda", ""])
  assert.equal(env["FI_MR_CACHE_MAX_COUNT"], "0")
})

test("a word about fork safety or huge pages is the whole word: none of ours is added", () => {
  for (const name of ["FI_EFA_FORK_SAFE", "RDMAV_FORK_SAFE", "IBV_FORK_SAFE", "FI_EFA_USE_HUGE_PAGE"]) {
    const env: Mutable = { [name]: "0" }
    const set = prepareFabricEnvironment(env, {})
    assert.ok(!set.some((own) => own.name.endsWith("FORK_SAFE")), name)
    assert.equal(env[name], "0")
  }
})

test("what is set by us is not taken for a user's choice of providers", () => {
  const env: Mutable = {}
  prepareFabricEnvironment(env, {})
  assert.deepEqual(resolveRdma(env).settings.fabricProviders, defaultRdmaSettings.fabricProviders)
})

test("a second call sets nothing", () => {
  const env: Mutable = {}
  prepareFabricEnvironment(env, {})
  assert.deepEqual(prepareFabricEnvironment(env, {}), [])
})

test("the GID's row reaches verbs;ofi_rxm where it was chosen", () => {
  const env: Mutable = {}
  prepareFabricEnvironment(env, { gidIndex: 3 })
  assert.equal(env["FI_VERBS_GID_IDX"], "3")
})

test("what would make libfabric end this process is an error first, and nothing is set then", () => {
  const deadly: Mutable[] = [
    { FI_EFA_MTU_SIZE: "8192" },
    { FI_EFA_MTU_SIZE: "" },
    { FI_EFA_TX_IOV_LIMIT: "1" },
    { FI_EFA_RX_IOV_LIMIT: "1" },
    { FI_EFA_TX_MIN_CREDITS: "0" },
    { FI_EFA_TX_MIN_CREDITS: "many" },
    { FI_EFA_IFACE: "" },
    { FI_EFA_USE_DEVICE_RDMA: "maybe" },
    { FI_EFA_USE_HUGE_PAGE: "1", FI_EFA_FORK_SAFE: "yes" },
    { FI_EFA_USE_HUGE_PAGE: "on", RDMAV_FORK_SAFE: "0" },
  ]
  for (const env of deadly) {
    const before = { ...env }
    const [name] = Object.keys(env)
    assert.throws(
      () => prepareFabricEnvironment(env, {}),
      (error) => error instanceof KvError && error.code === "KV_USAGE" && error.what.startsWith(name!),
      JSON.stringify(env),
    )
    assert.deepEqual(env, before)
  }
  const fine = { FI_EFA_TX_MIN_CREDITS: "32", FI_EFA_IFACE: "all", FI_EFA_USE_DEVICE_RDMA: "Off" }
  assert.deepEqual(fatalVariables({ ...fine, FI_EFA_USE_HUGE_PAGE: "1" }), [])
})
