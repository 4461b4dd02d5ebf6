import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { defaultRdmaSettings } from "./rdma-settings.ts"
import { resolveRdma } from "./resolve-rdma.ts"
import { settingRows } from "./setting-rows.ts"
import type { Environment } from "./variable.ts"

const rowOf = (env: Environment, key: string, options = {}) =>
  resolveRdma(env, options).rows.find((row) => row.key === key)!

test("nobody says anything: the defaults, each of them by default", () => {
  const { settings, rows, problems } = resolveRdma({})
  assert.deepEqual(settings, defaultRdmaSettings)
  assert.ok(rows.every(({ origin }) => origin.from === "default"))
  assert.deepEqual(problems, [])
})

test("there is a row for every setting, and none twice", () => {
  const keys = settingRows.map(({ key }) => key)
  assert.equal(new Set(keys).size, keys.length)
  const { origins: _, ...settings } = defaultRdmaSettings
  for (const key of Object.keys(settings))
    assert.ok(
      keys.some((row) => row === key),
      key,
    )
  const variables = settingRows.map(({ variable }) => variable)
  assert.equal(new Set(variables).size, variables.length)
  assert.ok(variables.every((name) => /^KVFERRY_[A-Z_]+$/.test(name)))
})

test("an option goes before our variable, that before Mooncake's, and that before the default", () => {
  const key = "sliceBytes"
  const all = { KVFERRY_SLICE_BYTES: "128K", MC_SLICE_SIZE: "65536" }
  const option = rowOf(all, key, { "slice-bytes": "256K" })
  assert.deepEqual([option.value, option.origin], [262_144, { from: "option", name: "--slice-bytes" }])
  assert.deepEqual(option.overridden, [], "that an option rules is what an option is for")
  const own = rowOf(all, key)
  assert.deepEqual([own.value, own.origin], [131_072, { from: "environment", name: "KVFERRY_SLICE_BYTES" }])
  assert.deepEqual(own.overridden, ["MC_SLICE_SIZE"])
  const mooncake = rowOf({ MC_SLICE_SIZE: "65536" }, key)
  assert.deepEqual(
    [mooncake.value, mooncake.origin],
    [65_536, { from: "environment", name: "MC_SLICE_SIZE" }],
  )
})

test("Mooncake's relaxed ordering: 0 is off, 1 and 2 are auto, unset is our own auto", () => {
  const mode = (text: string | undefined) => rowOf({ MC_IB_PCI_RELAXED_ORDERING: text }, "relaxedOrdering")
  assert.deepEqual(
    ["0", "1", "2", undefined].map((text) => mode(text).value),
    ["off", "auto", "auto", "auto"],
  )
  assert.equal(mode(undefined).origin.from, "default")
  assert.equal(mode("1").origin.from, "environment")
})

test("the settings say who decided", () => {
  const { settings } = resolveRdma({ MC_GID_INDEX: "3" }, { numa: "0" })
  assert.deepEqual(settings.origins, { numa: "--numa", gidIndex: "MC_GID_INDEX" })
})

test("MC_GID_INDEX goes before NCCL_IB_GID_INDEX, as in Mooncake; the same number in both is no conflict", () => {
  const both = rowOf({ MC_GID_INDEX: "3", NCCL_IB_GID_INDEX: "1" }, "gidIndex")
  assert.deepEqual([both.value, both.overridden], [3, ["NCCL_IB_GID_INDEX"]])
  assert.deepEqual(rowOf({ MC_GID_INDEX: "3", NCCL_IB_GID_INDEX: "3" }, "gidIndex").overridden, [])
  assert.equal(rowOf({ NCCL_IB_GID_INDEX: "1" }, "gidIndex").value, 1)
  assert.equal(rowOf({ NCCL_IB_GID_INDEX: "-1" }, "gidIndex").value, undefined)
})

test("Mooncake's registration switches", () => {
  const { settings } = resolveRdma({ MC_ENABLE_PARALLEL_REG_MR: "0", MC_MAX_CONCURRENT_REG_MR: "0" })
  assert.deepEqual([settings.parallelRegistration, settings.maxConcurrentRegistrations], [false, 64])
  assert.equal(resolveRdma({ MC_ENABLE_PARALLEL_REG_MR: "-1" }).settings.parallelRegistration, true)
  assert.equal(resolveRdma({ MC_MAX_CONCURRENT_REG_MR: "1000" }).settings.maxConcurrentRegistrations, 64)
})

test("an empty variable is one that is not set", () => {
  assert.equal(rowOf({ MC_GID_INDEX: "", KVFERRY_GID_INDEX: " " }, "gidIndex").origin.from, "default")
})

test("a text that cannot be read is an error that names its variable, its text and what it should be", () => {
  const { problems, settings } = resolveRdma({ MC_SLICE_SIZE: "big", KVFERRY_NUMA: "\u001b[31mred" })
  assert.deepEqual(
    problems.map(({ foreign, error }) => [error.code, foreign, error.what]),
    [
      ["KV_USAGE", false, 'KVFERRY_NUMA is "\\u001b[31mred"'],
      ["KV_USAGE", true, 'MC_SLICE_SIZE is "big"'],
    ],
  )
  assert.match(problems[1]!.error.message, /bytes from 4096 .*--slice-bytes goes before it/)
  assert.deepEqual(settings, defaultRdmaSettings)
  const wrong = resolveRdma({}, { "relaxed-ordering": "maybe" }).problems
  assert.match(wrong[0]!.error.message, /^--relaxed-ordering is "maybe"; why: it must be off, on, auto/)
})

test("only the text that counts is read: an option heals a wrong variable", () => {
  const { problems, settings } = resolveRdma({ MC_SLICE_SIZE: "big" }, { "slice-bytes": "64K" })
  assert.deepEqual([problems, settings.sliceBytes], [[], 65_536])
})

test("a long text is shown short", () => {
  const [problem] = resolveRdma({ MC_GID_INDEX: "9".repeat(10_000) }).problems
  assert.ok(problem!.error.what.length < 100)
})

test("settings that contradict each other are an error", () => {
  const env = { MC_TE_FILTERS: "mlx5_0", KVFERRY_RAIL_WEIGHTS: "mlx5_0=1,mlx5_9=2" }
  assert.match(resolveRdma(env).problems[0]!.error.what, /weight for mlx5_9/)
  const excluded = { MC_TE_FILTERS: "mlx5_0", MC_TE_FILTERS_EXCLUDE: "mlx5_0,mlx5_1" }
  assert.match(resolveRdma(excluded).problems[0]!.error.what, /mlx5_0 is excluded/)
  assert.deepEqual(resolveRdma({ ...excluded, MC_TE_FILTERS: "mlx5_2" }).problems, [])
})

test("whatever the environment holds, every setting has a value of its kind or none", () => {
  const names = settingRows.flatMap(({ variable, others }) => [variable, ...others.map(({ name }) => name)])
  const environment = fc.dictionary(
    fc.constantFrom(...names),
    fc.oneof(fc.string(), fc.integer().map(String)),
  )
  fc.assert(
    fc.property(environment, (env) => {
      const { settings, problems } = resolveRdma(env)
      for (const [key, value] of Object.entries(defaultRdmaSettings)) {
        assert.equal(typeof settings[key as keyof typeof settings], typeof value, key)
      }
      for (const { error } of problems) assert.equal(error.code, "KV_USAGE")
    }),
  )
})
