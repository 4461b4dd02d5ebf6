import { checkLockedMemory } from "../../os/memlock.ts"
import type { RdmaDriver } from "../rdma/driver.ts"
import { pairLanes } from "../rdma/lane-pairs.ts"
import { rdmaTransport } from "../rdma/rdma-transport.ts"
import type { Transport } from "../transport.ts"
import { openVerbsRails } from "./open-rails.ts"
import type { VerbsOptions } from "./verbs-options.ts"

/**
 * RDMA over the machine's own libibverbs: bytes go from memory to memory by the NICs, and no processor touches them.
 *
 * One rail for each port, with a thread of its own. A lane is a reliable connected queue pair; the peer's rights are those of its
 * queue pair and of the region it names, whichever are less.
 */
export function createVerbs(options: VerbsOptions = {}): Transport {
  const driver: RdmaDriver = {
    name: "verbs",
    threadFile: new URL("./rail-thread.js", import.meta.url),
    // An acknowledged write has reached the peer's NIC; with relaxed ordering it may still be on its way to memory.
    writesAreVisible: false,
    ordered: true,
    tellsRefusals: true,
    open: async (endpoint) => openVerbsRails(options, endpoint),
    checkRegistration: checkLockedMemory,
    pair: (local, remote) =>
      pairLanes(local, remote).map(({ localRail, remoteRail, weight }) => ({
        local: localRail,
        remote: remoteRail,
        weight,
      })),
  }
  return rdmaTransport(driver, options)
}
