import assert from "node:assert/strict"
import { test } from "node:test"
import { loadRequest } from "./load-request.ts"
import {
  completedLine,
  type TransferEngineFlags,
  translateTransferEngineBench as translate,
} from "./transfer-engine-bench.ts"

const p2p = { metadata_server: "P2PHANDSHAKE", auto_discovery: true } as const
const refused = (flags: TransferEngineFlags, words: RegExp): void =>
  assert.throws(() => translate({ ...p2p, segment_id: "h:1", ...flags }, {}), words)

test("the usual two command lines are a target and an initiator, with the original's defaults", () => {
  assert.deepEqual(translate({ ...p2p, mode: "target" }, {}), {
    mode: "target",
    host: "127.0.0.1",
    port: 15_428,
  })
  const initiator = translate({ ...p2p, mode: "initiator", segment_id: "target_host:15428" }, {})
  assert.ok(initiator.mode === "initiator")
  assert.equal(initiator.target, "target_host:15428")
  const { op, blockBytes, blocks, batch, threads, numBlocks, layers, duration } = loadRequest(initiator.flags)
  assert.deepEqual(
    { op, blockBytes, blocks, batch, threads, numBlocks, layers, duration },
    {
      op: "read",
      blockBytes: 65_536,
      blocks: 1536,
      batch: 128,
      threads: 12,
      numBlocks: 16_384,
      layers: 1,
      duration: 10,
    },
  )
})

test("a protocol is a path of kvferry's, and a name says where a target listens", () => {
  const engines = (flags: TransferEngineFlags): unknown => {
    const found = translate({ ...p2p, segment_id: "h", ...flags }, {})
    return found.mode === "initiator" ? [found.flags.engines, found.flags.paths, found.flags.devices] : found
  }
  assert.deepEqual(engines({ protocol: "tcp" }), [["kvferry:tcp", "memcpy"], undefined, undefined])
  assert.deepEqual(engines({ protocol: "rdma", device_name: "mlx5_2" }), [
    ["kvferry", "memcpy"],
    ["verbs", "libfabric"],
    "mlx5_2",
  ])
  assert.deepEqual(engines({}), [undefined, undefined, undefined])
  assert.deepEqual(engines({ auto_discovery: "false" }), [
    ["kvferry", "memcpy"],
    ["verbs", "libfabric"],
    undefined,
  ])
  assert.deepEqual(engines({ mode: "target", local_server_name: "192.0.2.1:17000" }), {
    mode: "target",
    host: "192.0.2.1",
    port: 17_000,
  })
})

test("what it would need a server, a GPU or another buffer for is refused or told", () => {
  refused({ metadata_server: "192.168.3.77:2379" }, /add --metadata_server=P2PHANDSHAKE/)
  refused({ mode: "both" }, /initiator or target/)
  refused({ operation: "swap" }, /read or write/)
  refused({ segment_id: "" }, /--segment_id=HOST/)
  refused({ protocol: "nvlink" }, /rdma or tcp/)
  refused({ report_unit: "GBit" }, /GiB/)
  refused({ nic_priority_matrix: "/x" }, /--device_name/)
  refused({ buffer_size: "1M" }, /they need 1536 blocks/)
  refused({ batch_size: "-1" }, /whole number/)
  const vram = translate({ ...p2p, segment_id: "h", use_vram: "true", backend: "tent" }, {})
  assert.ok(vram.mode === "initiator")
  assert.match(vram.notes.join("\n"), /host memory is moved[\s\S]*--backend/)
})

test("the last line is in the unit that was asked for", () => {
  assert.match(completedLine("kvferry", 12.5e9, { unit: "Gb", precision: 1 }), /throughput 100\.0 Gb\/s/)
  assert.match(completedLine("kvferry", 2 ** 31, { unit: "GiB", precision: 2 }), /throughput 2\.00 GiB\/s/)
})
