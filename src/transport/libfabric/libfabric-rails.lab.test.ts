/** What libfabric's rails over RDMA NICs survive: lost packets, a rail that dies, and none that is left. */
import {
  blackHoleTest,
  lossTest,
  noRailTest,
  noWires,
  ownRails,
  railDeathTest,
  renew,
  type TwoRails,
  wiredRails,
} from "../rdma/rail-faults.test.kit.ts"
import { mib, type Rig } from "../rdma/two-processes.test.kit.ts"
import { openFabricRig } from "./fabric-process.test.kit.ts"
import { noLibfabric } from "./two-rails.test.kit.ts"

const provider = "verbs;ofi_rxm"
const title = `libfabric over ${provider}`
const skip = noLibfabric() || noWires
const open = ({ near, far }: TwoRails): Promise<Rig> =>
  openFabricRig(8 * mib, { provider, devices: near }, { provider, devices: far })

if (skip === false) for (const rails of [ownRails, wiredRails]) renew(rails)

lossTest(title, open, skip)
// libfabric asks for 7 retries, which Soft-RoCE takes for "for ever".
blackHoleTest(title, open, { reported: false, skip })
// The connection manager of a device that has sent into a link that is down is dead for good, in Linux 6.1.
railDeathTest(title, () => open(wiredRails), wiredRails, { comesBack: false, skip })
noRailTest(title, () => open(ownRails), ownRails, {
  lastWords: /Input\/output error \(5\), vendor code 0x2; likely cause: the local port went down/,
  skip,
})
