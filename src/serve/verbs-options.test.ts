import assert from "node:assert/strict"
import { test } from "node:test"
import { defaultRdmaSettings } from "../config/rdma-settings.ts"
import { resolveRdma } from "../config/resolve-rdma.ts"
import { plainPath } from "../transport/verbs/verbs-options.ts"
import { verbsOptions } from "./verbs-options.ts"

test("without a word every port that is up is a rail, with the transport's own defaults", () => {
  const { devices, excluded, path, relaxedOrdering, ...rest } = verbsOptions(defaultRdmaSettings)
  assert.deepEqual([devices, excluded, path], ["all", [], plainPath])
  assert.deepEqual(relaxedOrdering, { mode: "auto", origin: "default" })
  assert.deepEqual(rest, { sliceBytes: 1_048_576, maxConcurrentRegistrations: 8 })
})

test("what Mooncake's variables say reaches the transport, and who said it", () => {
  const { settings } = resolveRdma({
    MC_TE_FILTERS: "mlx5_1,mlx5_0:2",
    MC_TE_FILTERS_EXCLUDE: "mlx5_9",
    MC_GID_INDEX: "3",
    MC_IB_PORT: "1",
    MC_IB_TC: "106",
    MC_IB_SL: "3",
    MC_PKEY_INDEX: "7",
    MC_MTU: "1024",
    MC_MAX_WR: "64",
    MC_IB_PCI_RELAXED_ORDERING: "0",
    MC_ENABLE_PARALLEL_REG_MR: "0",
    MC_SLICE_SIZE: "65536",
  })
  assert.deepEqual(verbsOptions(settings), {
    devices: [{ device: "mlx5_1" }, { device: "mlx5_0", port: 2 }],
    excluded: ["mlx5_9"],
    path: { pkeyIndex: 7, trafficClass: 106, serviceLevel: 3, mtu: 1024, queueDepth: 64 },
    relaxedOrdering: { mode: "off", origin: "MC_IB_PCI_RELAXED_ORDERING" },
    sliceBytes: 65_536,
    maxConcurrentRegistrations: 1,
    port: 1,
    gid: { index: 3, origin: "MC_GID_INDEX" },
  })
})

test("weights, processors and a NUMA node are passed on as they are", () => {
  const env = { KVFERRY_RAIL_WEIGHTS: "a=2,b=1", KVFERRY_NUMA: "0", KVFERRY_CPUS: "2,0-1" }
  const { settings } = resolveRdma(env)
  const { deviceWeights, numa, cpus } = verbsOptions(settings)
  assert.deepEqual([deviceWeights, numa, cpus], [settings.railWeights, 0, [2, 0, 1]])
})
