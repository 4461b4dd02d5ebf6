import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import type { RdmaDevice, RdmaPort } from "../../os/rdma-devices.ts"
import { chooseDevices, parseDeviceNames, railRates } from "./choose-devices.ts"

const gid = { index: 3, gid: "00000000000000000000ffff0a4d0001", type: "RoCE v2", netdev: "eth0" } as const

function device(name: string, change: Partial<RdmaDevice> = {}, port: Partial<RdmaPort> = {}): RdmaDevice {
  const own: RdmaPort = { port: 1, state: "ACTIVE", linkLayer: "Ethernet", lid: 0, gids: [gid], ...port }
  return { name, driver: "mlx5_core", numaNode: 0, transport: "InfiniBand", ports: [own], ...change }
}

const names = ({ rails }: ReturnType<typeof chooseDevices>): string[] =>
  rails.map(({ device: { name }, port: { port } }) => `${name}:${port}`)

function refused(action: () => unknown, code: KvError["code"], message: RegExp): void {
  assert.throws(action, (error: unknown) => {
    assert.ok(error instanceof KvError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, message)
    return true
  })
}

test("without wishes every active port becomes a rail, in the order of the devices' numbers", () => {
  const chosen = chooseDevices([device("mlx5_10"), device("mlx5_2"), device("rxe0", { driver: "none" })])
  assert.deepEqual(names(chosen), ["mlx5_2:1", "mlx5_10:1", "rxe0:1"])
  assert.deepEqual(chosen.excluded, [])
})

test("what cannot be a rail is left out with its reason", () => {
  const chosen = chooseDevices([
    device("mlx5_0"),
    device("mlx5_1", {}, { state: "DOWN" }),
    device("mlx5_2", {}, { gids: [] }),
    device("siw0", { transport: "iWARP" }),
    device("rdmap0s6", { transport: "other", driver: "efa" }),
    device("empty", { ports: [] }),
  ])
  assert.deepEqual(names(chosen), ["mlx5_0:1"])
  const reasons = chosen.excluded.map(({ name, why }) => `${name} ${why}`).toSorted()
  assert.equal(reasons.length, 5)
  for (const [i, reason] of [/no port/, /DOWN/, /no GID/, /libfabric/, /rdma_cm/].entries())
    assert.match(reasons[i]!, reason)
})

test("devices by hand come in the order they were named, with the port that was named", () => {
  const two = device("mlx5_1", { ports: [1, 2].map((port) => ({ ...device("x").ports[0]!, port })) })
  const wishes = { devices: parseDeviceNames("mlx5_1:2, mlx5_0", "--devices") }
  const chosen = chooseDevices([device("mlx5_0"), two], wishes)
  assert.deepEqual(names(chosen), ["mlx5_1:2", "mlx5_0:1"])
  assert.deepEqual(chosen.excluded, [{ name: "mlx5_1:1", why: "not among the devices that were asked for" }])
})

test("a device that was named and cannot be had is an error that names what is there", () => {
  const devices = [device("mlx5_0"), device("mlx5_1", {}, { state: "INIT" })]
  const ask = (list: string) => (): unknown =>
    chooseDevices(devices, { devices: parseDeviceNames(list, "--devices") })
  refused(ask("mlx5_7"), "KV_USAGE", /mlx5_7 was asked for.*this machine has mlx5_0, mlx5_1/)
  refused(ask("mlx5_0:2"), "KV_USAGE", /mlx5_0:2 was asked for/)
  refused(ask("mlx5_1"), "KV_USAGE", /its port is INIT/)
})

test("a NUMA node leaves devices of other nodes out, never one that does not say where it stands", () => {
  const { numaNode: _, ...nowhere } = device("rxe0")
  const devices = [device("mlx5_0"), device("mlx5_1", { numaNode: 1 }), nowhere]
  const chosen = chooseDevices(devices, { numa: 1 })
  assert.deepEqual(names(chosen), ["mlx5_1:1", "rxe0:1"])
  assert.match(chosen.excluded[0]!.why, /NUMA node 0, and node 1/)
  refused(
    () => chooseDevices(devices, { numa: 1, devices: [{ device: "mlx5_0" }] }),
    "KV_USAGE",
    /stands at NUMA node 0, and node 1 was asked for/,
  )
})

test("fewer rails take the first ports, more go round again", () => {
  const devices = [device("a0"), device("a1")]
  assert.deepEqual(names(chooseDevices(devices, { rails: 1 })), ["a0:1"])
  assert.deepEqual(names(chooseDevices(devices, { rails: 3 })), ["a0:1", "a1:1", "a0:1"])
})

test("rails have the rates of their ports, which rails of one port share; with one unknown all are alike", () => {
  const [fast, slow, soft] = [
    device("a0", {}, { gigabits: 200 }),
    device("a1", {}, { gigabits: 50 }),
    device("rxe0"),
  ]
  assert.deepEqual(railRates(chooseDevices([fast, slow], { rails: 3 }).rails), [100, 50, 100])
  assert.equal(railRates(chooseDevices([fast, soft]).rails), undefined)
})

test("where no port is left the refusal names each with its reason", () => {
  refused(() => chooseDevices([]), "KV_TRANSPORT_UNAVAILABLE", /the kernel knows no RDMA device/)
  refused(
    () => chooseDevices([device("mlx5_0", {}, { state: "DOWN" }), device("siw0", { transport: "iWARP" })]),
    "KV_TRANSPORT_UNAVAILABLE",
    /mlx5_0: its port is DOWN; siw0: it speaks iWARP/,
  )
})

test("a list of devices that is none is refused before anything is opened", () => {
  for (const bad of ["", "mlx5_0,", "../x", "mlx5_0:0", "mlx5_0:1:2", "a b", "\u001b[2J"]) {
    refused(() => parseDeviceNames(bad, "--devices"), "KV_USAGE", /--devices has a part that names no device/)
  }
})
