/** Another process with a libfabric endpoint: `openFabricRig` starts it, and this file is its program. */
import { closeSync, openSync, readdirSync, readSync, writeSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { defaultRdmaSettings, type FabricProvider } from "../../config/rdma-settings.ts"
import { type PeerOrders, servePeer } from "../peer-orders.test.kit.ts"
import { PeerProcess } from "../peer-process.test.kit.ts"
import { openRig, type Rig } from "../rdma/two-processes.test.kit.ts"
import type { Endpoint } from "../transport.ts"
import { createLibfabric } from "./libfabric.ts"

interface FabricOrders extends PeerOrders {
  /**
   * Holds the locks of what its endpoints of shm share with their peers, or frees them: what a process leaves behind that is
   * killed or stopped inside libfabric. Only with libfabric 1.17. How many locks that were.
   */
  lock(order: { held: boolean }): Promise<number>
}

/** One side: its provider, and its NICs where that has some. */
export interface FabricSide {
  readonly provider: FabricProvider
  readonly devices?: readonly string[]
}

/** Another process, and this one connected to it over two rails, or a rail for each device. */
export function openFabricRig(
  bytes: number,
  near: FabricSide,
  far = near,
): Promise<Rig<PeerProcess<FabricOrders>>> {
  const args = [JSON.stringify(far)]
  const peer = new PeerProcess<FabricOrders>(fileURLToPath(import.meta.url), { args })
  return openRig(peer.opened(), open(near), bytes)
}

function open({ provider, devices }: FabricSide): Promise<Endpoint> {
  const own = { fabricProviders: [provider], sliceBytes: 256 * 1024, ...(devices && { devices }) }
  const rdma = { ...defaultRdmaSettings, ...own }
  return createLibfabric({ rdma }).open({ host: "127.0.0.1", rails: 2 })
}

/** Of `struct smr_region` in `include/ofi_shm.h` of libfabric 1.17: its process, and its spin lock, which is 1 when it is free. */
const regionField = { pid: 4, lock: 24 } as const
const freeLock = 1

/** Takes or frees the lock of one endpoint's shared memory, and sees to it that it stays so. */
async function setLock(path: string, held: boolean): Promise<void> {
  const file = openSync(path, "r+")
  const word = Buffer.alloc(4)
  const read = (at: number): number => {
    readSync(file, word, 0, 4, at)
    return word.readInt32LE()
  }
  try {
    if (read(regionField.pid) !== process.pid) throw new Error(`${path} is laid out in another way`)
    for (;;) {
      word.writeInt32LE(held ? 0 : freeLock)
      writeSync(file, word, 0, 4, regionField.lock)
      // Our own rail may have been holding it, and have freed it since.
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (!held || read(regionField.lock) < freeLock) return
    }
  } finally {
    closeSync(file)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  servePeer(await open(JSON.parse(process.argv[2]!) as FabricSide), () => ({
    async lock({ held }: { held: boolean }) {
      const files = readdirSync("/dev/shm").filter((name) => name.startsWith(`${process.pid}:`))
      // All at once: a rail that is freed may close its lane, and with it the file.
      await Promise.all(files.map((file) => setLock(`/dev/shm/${file}`, held)))
      return files.length
    },
  }))
