import assert from "node:assert/strict"
import { test } from "node:test"
import { defaultRdmaSettings, originOf, registrationsAtOnce } from "./rdma-settings.ts"

test("one registration after the other when parallel ones are off, whatever the limit", () => {
  assert.equal(registrationsAtOnce(defaultRdmaSettings), defaultRdmaSettings.maxConcurrentRegistrations)
  assert.equal(registrationsAtOnce({ parallelRegistration: false, maxConcurrentRegistrations: 8 }), 1)
})

test("who decided is said in a word", () => {
  const settings = { ...defaultRdmaSettings, origins: { gidIndex: "MC_GID_INDEX" } }
  assert.deepEqual([originOf(settings, "gidIndex"), originOf(settings, "numa")], ["MC_GID_INDEX", "default"])
})

test("settings can be sent to a thread", () => {
  const all = {
    ...defaultRdmaSettings,
    devices: ["mlx5_0", "mlx5_1"],
    railWeights: [{ device: "mlx5_0", weight: 2 }],
  }
  assert.deepEqual(structuredClone(all), all)
})
