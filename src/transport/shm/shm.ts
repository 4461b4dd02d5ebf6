import type { Crew } from "../../movers/crew.ts"
import type { Endpoint, Transport } from "../transport.ts"
import { freshSocketName, ownMachine } from "./shm-address.ts"
import { ShmEndpoint } from "./shm-endpoint.ts"

/**
 * Shared memory between processes of one machine: a peer's regions are mapped, and the crew copies between mappings.
 *
 * Nothing is copied by the owner, which may even be stopped. A region that is granted for reading is sealed: no peer
 * can ever write there. Only memory from `hostMemory` can be registered.
 */
export function createShm({ crew }: { readonly crew: Crew }): Transport {
  return {
    name: "shm",
    open: async (): Promise<Endpoint> => await ShmEndpoint.open(crew, ownMachine(), freshSocketName()),
  }
}
