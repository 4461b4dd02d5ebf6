import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import type { GidEntry, RdmaPort } from "../../os/rdma-devices.ts"
import { chooseGid } from "./choose-gid.ts"
import { gidKind, gidText, ipv4Of, networkOf } from "./gid-text.ts"

const v4 = "00000000000000000000ffff0a4d0001"
const linkLocal = "fe80000000000000505400fffe123456"
const global = "20010db8000000000000000000000001"

function ethernet(
  ...entries: [index: number, gid: string, type: GidEntry["type"], netdev?: string][]
): RdmaPort {
  const gids = entries.map(([index, gid, type, netdev = "rail0"]) => ({ index, gid, type, netdev }))
  return { port: 1, state: "ACTIVE", linkLayer: "Ethernet", lid: 0, gids }
}

test("RoCE v2 with an IPv4 address is preferred, whatever its index, and the reason is printed", () => {
  const port = ethernet(
    [0, linkLocal, "RoCE v1"],
    [1, linkLocal, "RoCE v2"],
    [2, v4, "RoCE v1"],
    [3, v4, "RoCE v2"],
    [5, global, "RoCE v2"],
  )
  const chosen = chooseGid("mlx5_0", port, undefined, (address) => (address === "10.77.0.1" ? 24 : undefined))
  assert.deepEqual(chosen, {
    index: 3,
    gid: v4,
    type: "RoCE v2",
    why: "GID index 3 (::ffff:10.77.0.1, RoCE v2, rail0): RoCE v2 with an IPv4 address",
    global: true,
    link: "RoCE v2 over IPv4",
    network: "10.77.0.0/24",
  })
})

test("without it comes a global address, then a link-local one, then the same of RoCE v1, and container networks last", () => {
  const order: [string, GidEntry["type"], string?][] = [
    [v4, "RoCE v2"],
    [global, "RoCE v2"],
    [linkLocal, "RoCE v2"],
    [v4, "RoCE v1"],
    [global, "RoCE v1"],
    [linkLocal, "RoCE v1"],
    [v4, "RoCE v2", "docker0"],
  ]
  for (let from = 0; from < order.length; from++) {
    const left = order.slice(from)
    // Worst first in the table: the index decides nothing.
    const worstFirst = left.toReversed()
    const port = ethernet(
      ...worstFirst.map(([gid, type, netdev = "eth0"], index): Parameters<typeof ethernet>[number] => [
        index,
        gid,
        type,
        netdev,
      ]),
    )
    assert.equal(chooseGid("mlx5_0", port).index, left.length - 1, JSON.stringify(left[0]))
  }
  const two = ethernet([4, v4, "RoCE v2"], [2, v4, "RoCE v2"])
  assert.equal(chooseGid("mlx5_0", two).index, 2)
  const lone = chooseGid("rxe0", ethernet([0, linkLocal, "RoCE v2"]))
  assert.match(lone.why, /link-local.*only one.*router/)
  // Every wire is fe80::/64: one rail's is not known to be another's.
  assert.equal(lone.network, "the wire of fe80::5054:ff:fe12:3456")
})

test("on InfiniBand the first entry is taken, and the link is the subnet", () => {
  const port: RdmaPort = {
    port: 2,
    state: "ACTIVE",
    linkLayer: "InfiniBand",
    lid: 7,
    gids: [{ index: 0, gid: linkLocal, type: "InfiniBand" }],
  }
  const chosen = chooseGid("mlx5_1", port)
  assert.equal(chosen.global, false)
  assert.equal(chosen.link, "InfiniBand fe80::/64")
  assert.equal(chosen.network, "fe80::/64")
})

test("an index that was asked for is taken, and one that is not there is an error that names the table", () => {
  const port = ethernet([0, linkLocal, "RoCE v1"], [3, v4, "RoCE v2"])
  const chosen = chooseGid("mlx5_0", port, { index: 0, origin: "MC_GID_INDEX" })
  assert.equal(chosen.index, 0)
  assert.match(chosen.why, /asked for by MC_GID_INDEX/)
  assert.equal(chosen.link, "RoCE v1 over IPv6")
  assert.throws(
    () => chooseGid("mlx5_0", port, { index: 2, origin: "NCCL_IB_GID_INDEX" }),
    (error: unknown) => {
      assert.ok(error instanceof KvError && error.code === "KV_USAGE")
      assert.match(error.message, /NCCL_IB_GID_INDEX asks for GID index 2, which mlx5_0 port 1 does not have/)
      assert.match(
        error.message,
        /0 \(fe80::5054:ff:fe12:3456, RoCE v1, rail0\); 3 \(::ffff:10\.77\.0\.1, RoCE v2/,
      )
      return true
    },
  )
})

test("a port without a GID cannot be used, and the error says what gives it one", () => {
  assert.throws(
    () => chooseGid("rxe0", ethernet()),
    (error: unknown) => error instanceof KvError && error.code === "KV_TRANSPORT_UNAVAILABLE",
  )
})

test("GIDs are written as people write addresses, and masked to their networks", () => {
  assert.deepEqual(
    [gidText(v4), gidText(linkLocal), gidText(global)],
    ["::ffff:10.77.0.1", "fe80::5054:ff:fe12:3456", "2001:db8::1"],
  )
  assert.equal(gidText("00010000000200000000000300000004"), "1:0:2::3:0:4")
  assert.equal(gidText("00000000000000000000000000000001"), "::1")
  assert.equal(gidText("0001000200030004000500060007000a"), "1:2:3:4:5:6:7:a")
  assert.equal(gidText("00000000000000000000000000000000"), "::")
  assert.equal(gidText("00010000000000000000000000000000"), "1::")
  assert.deepEqual([v4, global, linkLocal].map(gidKind), ["IPv4", "global IPv6", "link-local IPv6"])
  assert.equal(ipv4Of(v4), "10.77.0.1")
  assert.equal(networkOf(v4, 24), "10.77.0.0/24")
  assert.equal(networkOf(v4, 31), "10.77.0.0/31")
  assert.equal(networkOf("00000000000000000000ffffc0a8ffff", 18), "192.168.192.0/18")
  assert.equal(networkOf(global, 64), "2001:db8::/64")
  assert.equal(networkOf(global, 128), "2001:db8::1/128")
})
