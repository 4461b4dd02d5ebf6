import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import type { RdmaPort } from "../../os/rdma-devices.ts"
import { chooseNics, type NicWishes, nicRates } from "./choose-nics.ts"

const port = (gigabits?: number, state = "ACTIVE"): RdmaPort => ({
  port: 1,
  state,
  linkLayer: "Ethernet",
  lid: 0,
  gids: [],
  ...(gigabits === undefined ? {} : { gigabits }),
})
const domains = ["rdmap1-rdm", "rdmap2-rdm", "rdmap3-rdm"]
const known = [
  { name: "rdmap1", numaNode: 0, ports: [port(100)] },
  { name: "rdmap2", numaNode: 1, ports: [port(0.1, "DOWN"), port(200)] },
  { name: "rdmap3", numaNode: 1, ports: [port(200)] },
]
const choose = (wishes: Partial<NicWishes>): string[] =>
  chooseNics("efa", domains, { rails: 2, excludedDevices: [], ...wishes }, known)
const refusal = (wishes: Partial<NicWishes>): KvError => {
  try {
    choose(wishes)
  } catch (thrown) {
    assert.ok(thrown instanceof KvError)
    return thrown
  }
  return assert.fail("it was not refused")
}

test("NICs that were named are the rails, in that order; else the rails go round those that are left", () => {
  assert.deepEqual(choose({ devices: ["rdmap3", "rdmap1-rdm"] }), ["rdmap3-rdm", "rdmap1-rdm"])
  assert.deepEqual(choose({}), ["rdmap1-rdm", "rdmap2-rdm"])
  assert.deepEqual(choose({ rails: 3, excludedDevices: ["rdmap1"] }), [
    "rdmap2-rdm",
    "rdmap3-rdm",
    "rdmap2-rdm",
  ])
  assert.match(refusal({ devices: ["rdmap9"] }).message, /offers no device "rdmap9".*rdmap1-rdm, rdmap2-rdm/)
  assert.match(
    refusal({ excludedDevices: ["rdmap1", "rdmap2", "rdmap3"] }).message,
    /each of them is excluded/,
  )
})

test("a rail for each NIC, however many rails were asked for, unless NICs were named", () => {
  const every = { everyNic: true, rails: 1 }
  assert.deepEqual(choose(every), domains)
  assert.deepEqual(choose({ ...every, excludedDevices: ["rdmap2"] }), ["rdmap1-rdm", "rdmap3-rdm"])
  assert.deepEqual(choose({ ...every, numa: 1 }), ["rdmap2-rdm", "rdmap3-rdm"])
  assert.deepEqual(choose({ ...every, devices: ["rdmap3"] }), ["rdmap3-rdm"])
})

test("a NUMA node leaves out the NICs that stand elsewhere; one that says nothing stays", () => {
  assert.deepEqual(choose({ numa: 1 }), ["rdmap2-rdm", "rdmap3-rdm"])
  assert.deepEqual(choose({ numa: 0 }), ["rdmap1-rdm", "rdmap1-rdm"])
  assert.equal(refusal({ numa: 2 }).code, "KV_TRANSPORT_UNAVAILABLE")
  assert.match(refusal({ numa: 2 }).message, /none of them stands at NUMA node 2/)
  assert.match(
    refusal({ numa: 0, devices: ["rdmap2"] }).message,
    /rdmap2 was asked for, and it stands at NUMA node 1/,
  )
  assert.deepEqual(chooseNics("efa", ["other"], { rails: 1, excludedDevices: [], numa: 2 }, known), ["other"])
})

test("a NIC carries by its weight, else by its line rate where all tell theirs", () => {
  assert.deepEqual(nicRates(domains, {}, known), [0.5, 1, 1])
  assert.deepEqual(nicRates(["rdmap1-rdm", "rdmap2-rdm", "rdmap1-rdm"], {}, known), [0.25, 1, 0.25])
  assert.deepEqual(nicRates([...domains, "other"], {}, known), [1, 1, 1, 1])
  const railWeights = [
    { device: "rdmap1", weight: 4 },
    { device: "rdmap3", weight: 2 },
  ]
  assert.deepEqual(nicRates(domains, { railWeights }, known), [1, 0.25, 0.5])
})
