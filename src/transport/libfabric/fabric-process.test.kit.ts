/** A second process with a libfabric endpoint: `FabricProcess` starts it, and this file is its program. */
import { type ChildProcess, fork } from "node:child_process"
import { closeSync, openSync, readdirSync, readSync, writeSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { defaultRdmaSettings, type FabricProvider } from "../../config/rdma-settings.ts"
import { hostMemory } from "../../os/host-memory.ts"
import type { Endpoint, EndpointAddress, RegionDescriptor, Session } from "../transport.ts"
import { createLibfabric } from "./libfabric.ts"

type Order =
  | {
      readonly type: "open"
      readonly provider: FabricProvider
      readonly rails: number
      readonly bytes: number
      readonly session: { readonly id: string; readonly key: string }
    }
  | { readonly type: "deregister" }
  | { readonly type: "wrong" }
  | { readonly type: "lock"; readonly held: boolean }

/** What it offers. */
export interface Offer {
  readonly address: EndpointAddress
  readonly remote: RegionDescriptor
}

export const peerRegion = 3

/** Word `i` of the peer's memory says where it is. */
export const wordAt = (i: number): number => Math.imul(i + 1, 2654435761) >>> 0

/** The process as its parent holds it; killed when disposed of: nothing of libfabric's can keep it alive. */
export class FabricProcess implements AsyncDisposable {
  readonly child: ChildProcess

  constructor() {
    this.child = fork(fileURLToPath(new URL("./fabric-process.test.kit.js", import.meta.url)), ["serve"])
  }

  open(provider: FabricProvider, rails: number, bytes: number, session: Session): Promise<Offer> {
    const shown = { id: session.id, key: Buffer.from(session.key).toString("hex") }
    return this.#ask({ type: "open", provider, rails, bytes, session: shown }) as Promise<Offer>
  }

  async deregister(): Promise<void> {
    await this.#ask({ type: "deregister" })
  }

  /** How many words of its memory are not what `wordAt` says. */
  async wrongWords(): Promise<number> {
    return Number(await this.#ask({ type: "wrong" }))
  }

  /**
   * Has it hold the locks of what its endpoints of shm share with their peers, or free them: what a process leaves behind
   * that is killed or stopped inside libfabric. Only with libfabric 1.17.
   */
  async holdLocks(held: boolean): Promise<void> {
    const locks = await this.#ask({ type: "lock", held })
    if (typeof locks !== "number" || locks === 0) throw new Error(`no lock was ${held ? "held" : "freed"}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exited = new Promise((resolve) => this.child.once("exit", resolve))
    this.child.kill("SIGKILL")
    await exited
  }

  #ask(order: Order): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const gone = (): void => reject(new Error("the process ended before it answered"))
      this.child.once("exit", gone)
      this.child.once("message", (answer) => {
        this.child.off("exit", gone)
        resolve(answer)
      })
      this.child.send(order)
    })
  }
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

function serve(): void {
  let endpoint: Endpoint
  let words: Uint32Array
  const both = { read: true, write: true }
  const answer = async (order: Order): Promise<unknown> => {
    if (order.type === "open") {
      const rdma = { ...defaultRdmaSettings, fabricProviders: [order.provider] }
      endpoint = await createLibfabric({ rdma }).open({ host: "127.0.0.1", rails: order.rails })
      const span = hostMemory.map(order.bytes, "fabric-peer")
      const view = span.view(0, order.bytes)
      words = new Uint32Array(view.buffer, view.byteOffset, order.bytes / 4)
      for (let i = 0; i < words.length; i++) words[i] = wordAt(i)
      const remote = await endpoint.register(peerRegion, span, both)
      const { id, key } = order.session
      await endpoint.admit({ id, key: Buffer.from(key, "hex") }, both)
      return { address: endpoint.address, remote }
    }
    if (order.type === "deregister") {
      await endpoint.deregister(peerRegion)
      return "gone"
    }
    if (order.type === "lock") {
      const files = readdirSync("/dev/shm").filter((name) => name.startsWith(`${process.pid}:`))
      // All at once: a rail that is freed may close its lane, and with it the file.
      await Promise.all(files.map((file) => setLock(`/dev/shm/${file}`, order.held)))
      return files.length
    }
    let wrong = 0
    for (let i = 0; i < words.length; i++) if (words[i] !== wordAt(i)) wrong += 1
    return wrong
  }
  process.on("message", (order: Order) => {
    void answer(order).then((value) => process.send?.(value))
  })
  process.on("disconnect", () => process.exit(0))
}

if (process.argv[2] === "serve" && process.send !== undefined) serve()
