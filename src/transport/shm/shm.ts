import { asKvError, KvError } from "../../errors/kv-error.ts"
import type { Crew } from "../../movers/crew.ts"
import { SharedPage } from "../../os/shared-page.ts"
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
    open: async (): Promise<Endpoint> => {
      const machine = ownMachine()
      checkSeals()
      return await ShmEndpoint.open(crew, machine, freshSocketName())
    },
  }
}

let sealsWork = false

/** @throws KvError KV_TRANSPORT_UNAVAILABLE where memory cannot be sealed, and so not be granted. */
function checkSeals(): void {
  if (sealsWork) return
  try {
    SharedPage.create("probe")[Symbol.dispose]()
    sealsWork = true
  } catch (thrown) {
    throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: "shm cannot make a sealed memory file",
      why: asKvError(thrown, "KV_OS", "no memory file could be made").message,
      next: "it needs memfd_create and F_SEAL_FUTURE_WRITE (Linux 5.1); or allow other paths (--paths)",
      cause: thrown,
    })
  }
}
