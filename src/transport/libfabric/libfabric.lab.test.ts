/** libfabric over RDMA NICs: the contract on the lab's two Soft-RoCE devices. Needs a kernel with RDMA. */
import { test } from "node:test"
import { defaultRdmaSettings } from "../../config/rdma-settings.ts"
import { readRdmaDevices } from "../../os/rdma-devices.ts"
import { transportContract } from "../contract.ts"
import { createLibfabric } from "./libfabric.ts"
import { twoProcessTests } from "./two-processes.test.kit.ts"
import { noLibfabric } from "./two-rails.test.kit.ts"

const devices = readRdmaDevices()
const skip = devices.length === 0 ? "no RDMA device in this kernel" : noLibfabric()
const title = "libfabric over verbs;ofi_rxm"
if (skip === false) {
  // Rails on the two devices that stand alone: the ends of a wire reach each other and nobody else.
  const own = { fabricProviders: ["verbs;ofi_rxm"], excludedDevices: ["rxw0", "rxw1"] } as const
  const rdma = { ...defaultRdmaSettings, ...own }
  transportContract(createLibfabric({ rdma }), {}, title)
} else test(`${title}: the contract of transports`, { skip }, () => {})

twoProcessTests("verbs;ofi_rxm", skip)
