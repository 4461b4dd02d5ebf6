import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { test } from "node:test"
import { environmentWarnings, usesRdma } from "./environment-warnings.ts"
import { everyVariable } from "./every-variable.ts"
import { fabricEnvironment } from "./fabric-environment.ts"
import { fabricNames } from "./fabric-names.ts"
import { nearestName } from "./nearest-name.ts"
import { resolveRdma } from "./resolve-rdma.ts"
import { settingRows } from "./setting-rows.ts"
import type { Environment } from "./variable.ts"

const rdma = ["verbs", "libfabric", "nixl", "tcp"]
const warned = (env: Environment, paths = rdma) => environmentWarnings(env, paths, resolveRdma(env))
const textFor = (name: string, paths = rdma) => warned({ [name]: "1" }, paths)[0]?.text

test("no variable stands twice in the table, and each names what reads it", () => {
  const names = everyVariable.map(({ name }) => name)
  assert.equal(new Set(names).size, names.length)
  for (const { name, meaning, source } of everyVariable) assert.ok(meaning !== "" && source !== "", name)
})

test("what the table calls honoured fills that setting, and nothing else does", () => {
  const honoured = everyVariable.flatMap(({ name, use }) =>
    use.kind === "honoured" ? [`${name} → ${use.setting}`] : [],
  )
  const read = settingRows.flatMap(({ key, others }) => others.map(({ name }) => `${name} → ${key}`))
  assert.deepEqual(honoured.sort(), read.sort())
})

test("what the EFA table says libfabric reads is among the names that libfabric defines", () => {
  const withdrawn = ["FI_EFA_MTU_SIZE", "FI_EFA_TX_IOV_LIMIT", "FI_EFA_RX_IOV_LIMIT"]
  for (const { name, of, use } of fabricEnvironment) {
    if (of !== "libfabric" || withdrawn.includes(name)) continue
    assert.equal(fabricNames.has(name), use.kind !== "nothing", name)
  }
  for (const { name, ours, recommended } of fabricEnvironment)
    assert.ok(!ours || recommended !== undefined, name)
})

test("a variable that nothing reads is named, with what does that here", () => {
  assert.equal(textFor("MC_FORCE_TCP"), "it is Mooncake's and has no effect here; --paths tcp does that here")
  assert.equal(textFor("FI_EFA_ENABLE_SHM"), "nothing reads it: FI_EFA_ENABLE_SHM_TRANSFER is meant")
  assert.equal(textFor("FI_EFA_RX_WINDOW_SIZE"), "nothing reads it any more")
  assert.equal(textFor("FI_EFA_BANANA"), "libfabric has no such variable")
})

test("what is honoured or read by a library that is opened needs no warning", () => {
  assert.deepEqual(
    warned({
      MC_IB_PCI_RELAXED_ORDERING: "1",
      MC_SLICE_SIZE: "65536",
      FI_EFA_USE_DEVICE_RDMA: "1",
      FI_PSM3_TRACE: "1",
      FI_TCP_IFACE: "lo",
      NIXL_PLUGIN_DIR: "/x",
      UCX_TLS: "rc",
      RDMAV_FORK_SAFE: "1",
      HOME: "/root",
      MC_SID: "42",
      MC_TMPDIR: "/tmp/mc-root",
    }),
    [],
  )
})

test("a library that no path opens reads nothing, and that is told", () => {
  assert.match(textFor("UCX_TLS", ["verbs"])!, /only UCX reads it, and no path of this process opens UCX/)
  assert.match(textFor("FI_EFA_TX_SIZE", ["tcp"])!, /only libfabric reads it/)
  assert.match(textFor("NIXL_LIBFABRIC_NUM_THREADS", ["libfabric"])!, /only NIXL reads it/)
  assert.equal(textFor("RDMAV_FORK_SAFE", ["verbs"]), undefined)
  assert.deepEqual(
    [usesRdma(["shm", "tcp"]), usesRdma(["shm", "verbs"]), usesRdma(["toString"])],
    [false, true, false],
  )
})

test("what is honoured by one path alone is told where that path is not allowed", () => {
  assert.match(textFor("MC_IB_TC", ["libfabric"])!, /means something to verbs only/)
  assert.match(textFor("NIXL_BACKEND", ["verbs"])!, /means something to nixl only/)
  assert.match(textFor("FI_PROVIDER", ["verbs"])!, /means something to libfabric only/)
  assert.match(textFor("MC_SLICE_SIZE", ["tcp"])!, /verbs and libfabric only/)
  assert.equal(textFor("MC_SLICE_SIZE", ["libfabric"]), undefined)
})

test("a near miss is told with the name that may be meant", () => {
  assert.match(textFor("MC_SLICE_SIZ")!, /MC_SLICE_SIZE may be meant/)
  assert.match(textFor("FI_EFA_USE_DEVICE_RDNA")!, /FI_EFA_USE_DEVICE_RDMA may be meant/)
  assert.match(textFor("FI_MR_CACHE_MAX_CNT")!, /FI_MR_CACHE_MAX_COUNT may be meant/)
  assert.equal(textFor("KVFERRY_DEVICE"), "kvferry has no such variable; KVFERRY_DEVICES may be meant")
  assert.match(textFor("KVFERRY_RELAXED")!, /KVFERRY_RELAXED_ORDERING may be meant/)
  assert.equal(nearestName("MC_SID", ["MC_SLICE_SIZE", "MC_MTU"]), undefined)
  assert.equal(nearestName("x".repeat(5000), ["x"]), undefined)
})

test("no variable that this program reads is taken for a misspelt one", () => {
  const folder = new URL("../../src/", import.meta.url)
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
  const sources = files.filter((file) => file.endsWith(".ts") && !/[.]test[.]/.test(file))
  const texts = sources.map((file) => readFileSync(new URL(file, folder), "utf8"))
  const names = new Set(texts.flatMap((text) => text.match(/\bKVFERRY_[A-Z0-9_]+/g) ?? []))
  assert.ok(names.size > 20, `${names.size} names were found`)
  for (const name of names) assert.doesNotMatch(textFor(name) ?? "", /no such variable/, name)
})

test("of two variables for one setting, the one that gave way is told", () => {
  const env = { MC_GID_INDEX: "3", NCCL_IB_GID_INDEX: "1" }
  assert.deepEqual(warned(env), [
    { name: "NCCL_IB_GID_INDEX", text: "MC_GID_INDEX is set to something else and goes before it" },
  ])
})

test("values are never repeated, and a full environment is told in bounded lines", () => {
  const secret = "hunter2-very-secret"
  const env = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`FI_EFA_X${i}`, secret]))
  const warnings = warned(env)
  assert.equal(warnings.length, 41)
  assert.equal(warnings.at(-1)!.text, "460 more variables of this kind are set")
  assert.ok(!JSON.stringify(warned({ ...env, MC_REDIS_PASSWORD: secret })).includes(secret))
})

test("an empty variable is not set, and needs no warning", () => {
  assert.deepEqual(warned({ MC_FORCE_TCP: "", FI_EFA_ENABLE_SHM: " " }), [])
})

test("every variable of the guides to EFA, Mooncake and NIXL that are passed around is in the table", () => {
  const names = new Set(everyVariable.map(({ name }) => name))
  const advised =
    "NIXL_BACKEND FI_PROVIDER FI_EFA_USE_DEVICE_RDMA FI_HMEM_DISABLE_P2P FI_EFA_ENABLE_SHM FI_MR_CACHE_MAX_COUNT " +
    "FI_MR_CACHE_MONITOR FI_EFA_FORK_SAFE RDMAV_FORK_SAFE FI_EFA_TX_SIZE FI_EFA_RX_SIZE FI_EFA_CQ_SIZE FI_LOG_LEVEL " +
    "MC_IB_PCI_RELAXED_ORDERING MC_SLICE_SIZE MC_ENABLE_PARALLEL_REG_MR MC_LOG_LEVEL WITH_NVIDIA_PEERMEM " +
    "MC_GID_INDEX NCCL_IB_GID_INDEX MC_FORCE_TCP MC_TE_FILTERS MC_MS_FILTERS NIXL_PLUGIN_DIR NIXL_LOG_LEVEL"
  for (const name of advised.split(" ")) assert.ok(names.has(name), name)
})
