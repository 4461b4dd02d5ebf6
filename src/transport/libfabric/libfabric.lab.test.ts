/** libfabric over RDMA NICs: the lab's Soft-RoCE devices. Needs a kernel with RDMA. */
import { test } from "node:test"
import { defaultRdmaSettings } from "../../config/rdma-settings.ts"
import { readRdmaDevices } from "../../os/rdma-devices.ts"
import { transportContract } from "../contract.ts"
import { ownRails, renew, wireEnds } from "../rdma/rail-faults.test.kit.ts"
import { createLibfabric } from "./libfabric.ts"
import { twoProcessTests } from "./two-processes.test.kit.ts"
import { noLibfabric } from "./two-rails.test.kit.ts"

const devices = readRdmaDevices()
const skip = devices.length === 0 ? "no RDMA device in this kernel" : noLibfabric()
const provider = "verbs;ofi_rxm"
const title = `libfabric over ${provider}`

if (skip === false) {
  renew(ownRails)
  // Rails on the two devices that stand alone: the ends of a wire reach each other and nobody else.
  const rdma = { ...defaultRdmaSettings, fabricProviders: [provider], excludedDevices: wireEnds } as const
  const large = "a NIC pins the pages of a region: 8 GiB that the lab's machines do not have"
  transportContract(createLibfabric({ rdma }), { "large regions": large }, title)
} else test(`${title}: the contract of transports`, { skip }, () => {})

twoProcessTests({ provider, devices: ownRails.near }, skip)
