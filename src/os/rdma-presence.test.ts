import assert from "node:assert/strict"
import { test } from "node:test"
import { machineFiles, rdmaClass, readRdmaDevices } from "./rdma-devices.ts"
import { presenceText, rdmaPresence } from "./rdma-presence.ts"
import { type RecordedTree, recordedTree, treeOf } from "./recorded-tree.test.kit.ts"

const lab = recordedTree("soft-roce-two-rails.json")
const sysfs = "/sys/class/infiniband/mlx5_0"

/** Not a record: written after the kernel's description of these files, for a NIC of 100 Gb/s at NUMA node 1. */
const nic: RecordedTree = {
  files: {
    [`${sysfs}/node_type`]: "1: CA",
    [`${sysfs}/device/numa_node`]: "1",
    [`${sysfs}/ports/1/state`]: "4: ACTIVE",
    [`${sysfs}/ports/1/rate`]: "100 Gb/sec (4X EDR)",
    [`${sysfs}/ports/1/lid`]: "0x12",
    [`${sysfs}/ports/1/link_layer`]: "InfiniBand",
    [`${sysfs}/ports/1/gids/0`]: "fe80:0000:0000:0000:0002:c903:0000:1491",
    [`${sysfs}/ports/1/gid_attrs/types/0`]: "IB/RoCE v1",
    "/sys/module/mlx5_ib/refcnt": "0",
    "/sys/module/ib_uverbs/refcnt": "1",
    "/dev/infiniband/uverbs0": "",
    "/usr/lib64/libibverbs.so.1": "",
    "/etc/libibverbs.d/mlx5.driver": "",
  },
  links: { [`${sysfs}/device/driver`]: "mlx5_core" },
}

/** The same machine with some of its files gone. */
function without(tree: RecordedTree, gone: RegExp): RecordedTree {
  const kept = Object.entries(tree.files).filter(([path]) => !gone.test(path))
  return { ...tree, files: Object.fromEntries(kept) }
}

const missing = (tree: RecordedTree): string[] =>
  rdmaPresence(treeOf(tree), "")
    .facts.filter(({ found }) => !found)
    .map(({ what }) => what)

test("two Soft-RoCE devices are read as the kernel shows them, without a rate of theirs", () => {
  const devices = readRdmaDevices(treeOf(lab))
  assert.deepEqual(
    devices.map(({ name }) => name),
    ["rxe0", "rxe1"],
  )
  assert.deepEqual(devices[0], {
    name: "rxe0",
    transport: "InfiniBand",
    ports: [
      {
        port: 1,
        state: "ACTIVE",
        linkLayer: "Ethernet",
        lid: 0,
        gids: [
          { index: 0, gid: "fe80000000000000d8e2f1fffef0942a", type: "RoCE v2", netdev: "rail0" },
          { index: 1, gid: "00000000000000000000ffff0a4d0001", type: "RoCE v2", netdev: "rail0" },
        ],
      },
    ],
  })
})

test("a NIC's node, driver, rate and local id are read, and its GID is InfiniBand's", () => {
  const [device] = readRdmaDevices(treeOf(nic))
  assert.equal(device?.numaNode, 1)
  assert.equal(device.driver, "mlx5_core")
  assert.deepEqual(device.ports[0], {
    port: 1,
    state: "ACTIVE",
    linkLayer: "InfiniBand",
    lid: 0x12,
    gigabits: 100,
    gids: [{ index: 0, gid: "fe800000000000000002c90300001491", type: "InfiniBand" }],
  })
  const elsewhere = { ...nic, files: { ...nic.files, [`${sysfs}/device/numa_node`]: "-1" } }
  assert.equal(readRdmaDevices(treeOf(elsewhere))[0]?.numaNode, undefined)
})

test("a machine that has everything lacks nothing, and nothing is advised", () => {
  for (const tree of [lab, nic]) {
    const presence = rdmaPresence(treeOf(tree), "")
    assert.deepEqual(missing(tree), [])
    assert.equal(presence.next, undefined)
  }
  assert.match(
    presenceText(rdmaPresence(treeOf(nic), "")),
    /mlx5_0 \(mlx5_core, NUMA 1, port 1 ACTIVE InfiniBand 100 Gb\/s\)/,
  )
})

test("each thing that is missing is named with where it was looked for, and the first says what brings it", () => {
  const cases: [RecordedTree, string[], RegExp][] = [
    [
      without(nic, /^\/sys|^\/dev/),
      ["kernel support", "devices", "device files"],
      /modprobe mlx5_ib.*rdma_rxe/,
    ],
    [without(nic, /mlx5_0/), ["kernel support", "devices"], /modprobe/],
    [without(lab, /class\/infiniband\/|\/dev/), ["kernel support", "devices", "device files"], /modprobe/],
    [without(nic, /^\/dev/), ["device files"], /docker: --device=\/dev\/infiniband/],
    [without(nic, /^\/dev|ib_uverbs/), ["device files"], /modprobe ib_uverbs/],
    [
      { ...nic, unusable: ["/dev/infiniband/uverbs0"] },
      ["device files"],
      /give this user read and write access/,
    ],
    [without(nic, /libibverbs\.so/), ["libibverbs.so.1"], /apt-get install libibverbs1/],
    [without(nic, /libibverbs\.d/), ["providers of the library"], /ibverbs-providers/],
  ]
  for (const [tree, expected, next] of cases) {
    // A link to a driver keeps its device's folder alive in a record.
    const links = expected.includes("devices") ? {} : (tree.links ?? {})
    const presence = rdmaPresence(treeOf({ ...tree, links }), "")
    assert.deepEqual(
      presence.facts.filter(({ found }) => !found).map(({ what }) => what),
      expected,
    )
    assert.match(presence.next ?? "", next)
    for (const { where, detail } of presence.facts) assert.ok(where.startsWith("/") && detail.length > 0)
  }
})

test("an empty class of devices asks for one, and tells how Soft-RoCE makes it", () => {
  const empty = treeOf({ files: { "/sys/module/rdma_rxe/refcnt": "0" } })
  const presence = rdmaPresence(
    { ...empty, list: (path) => (path === rdmaClass ? [] : empty.list(path)) },
    "",
  )
  assert.equal(presence.facts[0]?.found, true)
  assert.match(presence.facts[0].detail, /rdma_rxe/)
  assert.match(presence.next ?? "", /rdma link add/)
})

test("folders of LD_LIBRARY_PATH are searched first, and only whole paths", () => {
  const tree = treeOf({ files: { ...nic.files, "/opt/ofed/lib/libibverbs.so.1": "" } })
  const found = rdmaPresence(tree, "relative::/opt/ofed/lib").facts.find(
    ({ what }) => what === "libibverbs.so.1",
  )
  assert.equal(found?.detail, "/opt/ofed/lib/libibverbs.so.1")
  assert.doesNotMatch(found.where, /relative/)
})

test("this machine is looked at without a mistake", () => {
  const presence = rdmaPresence()
  assert.equal(presence.facts.length, 5)
  assert.equal(
    presence.next === undefined,
    presence.facts.every(({ found }) => found),
  )
  assert.equal(machineFiles.read("/no/such/file"), undefined)
  assert.equal(machineFiles.list("/no/such/folder"), undefined)
  assert.equal(machineFiles.linkName("/no/such/link"), undefined)
  assert.equal(machineFiles.usable("/no/such/file"), false)
})
