/** Another process with an shm endpoint: `startShmPeer` starts it, and this file is its program. */
import { readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { openCrew } from "../../movers/thread-crew.ts"
import { type PeerOrders, servePeer } from "../peer-orders.test.kit.ts"
import { PeerProcess } from "../peer-process.test.kit.ts"
import { freshSocketName, ownMachine } from "./shm-address.ts"
import { ShmEndpoint } from "./shm-endpoint.ts"

interface ShmOrders extends PeerOrders {
  /** The number of the region's file there. */
  file(order: { region: number }): Promise<number>
  /** How many files are open there. */
  files(order: object): Promise<number>
}

export type ShmPeer = PeerProcess<ShmOrders>

/** @param how.socket the name to listen on; @param how.filesMax the limit of open files of the process. */
export function startShmPeer(
  how: { readonly socket?: string; readonly filesMax?: number } = {},
): Promise<ShmPeer> {
  const { socket = freshSocketName(), ...rest } = how
  return new PeerProcess<ShmOrders>(fileURLToPath(import.meta.url), { args: [socket], ...rest }).opened()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const crew = await openCrew({ threads: 1 })
  servePeer(await ShmEndpoint.open(crew, ownMachine(), process.argv[2]!), (mappings) => ({
    file: async ({ region }: { region: number }) => mappings.get(region)!.fd,
    files: async () => readdirSync("/proc/self/fd").length,
  }))
}
