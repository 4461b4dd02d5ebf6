/** A second process with a verbs endpoint: `startVerbsProcess` starts it, and this file is its program. */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { hostMemory } from "../../os/host-memory.ts"
import type { Endpoint, EndpointAddress, RegionDescriptor, Rights, Session } from "../transport.ts"
import { createVerbs } from "./verbs.ts"

/** What the process is asked to do. */
type Order =
  | {
      readonly type: "open"
      readonly devices: readonly string[]
      readonly bytes: number
      readonly session: { readonly id: string; readonly key: string }
      readonly rights: Rights
    }
  | { readonly type: "deregister" }
  | { readonly type: "register" }
  | { readonly type: "sum"; readonly start: number; readonly length: number }

/** What it offers. */
export interface Offer {
  readonly address: EndpointAddress
  readonly remote: RegionDescriptor
}

export const peerRegion = 3

/** Word `i` of the peer's memory says where it is. */
export const wordAt = (i: number): number => Math.imul(i, 2654435761) >>> 0

/** The process as its parent holds it; killed when disposed of. */
export class VerbsProcess implements AsyncDisposable {
  readonly child: ChildProcess

  constructor() {
    this.child = fork(fileURLToPath(new URL("./verbs-process.test.kit.js", import.meta.url)), ["serve"])
  }

  open(devices: readonly string[], bytes: number, session: Session, rights: Rights): Promise<Offer> {
    const shown = { id: session.id, key: Buffer.from(session.key).toString("hex") }
    return this.#ask({ type: "open", devices, bytes, session: shown, rights }) as Promise<Offer>
  }

  async deregister(): Promise<void> {
    await this.#ask({ type: "deregister" })
  }

  register(): Promise<Offer> {
    return this.#ask({ type: "register" }) as Promise<Offer>
  }

  /** How many words from `start` on are not what `wordAt` says. */
  async wrongWords(start: number, length: number): Promise<number> {
    return Number(await this.#ask({ type: "sum", start, length }))
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

function serve(): void {
  let endpoint: Endpoint
  let span: ReturnType<typeof hostMemory.map>
  const both = { read: true, write: true }
  const answer = async (order: Order): Promise<unknown> => {
    if (order.type === "open") {
      const names = order.devices.map((device) => ({ device }))
      endpoint = await createVerbs({ devices: names }).open({ host: "127.0.0.1", rails: 1 })
      span = hostMemory.map(order.bytes, "verbs-peer")
      const view = span.view(0, order.bytes)
      const words = new Uint32Array(view.buffer, view.byteOffset, order.bytes / 4)
      for (let i = 0; i < words.length; i++) words[i] = wordAt(i)
      const remote = await endpoint.register(peerRegion, span, both)
      const { id, key } = order.session
      await endpoint.admit({ id, key: Buffer.from(key, "hex") }, order.rights)
      return { address: endpoint.address, remote }
    }
    if (order.type === "register")
      return { address: endpoint.address, remote: await endpoint.register(peerRegion, span, both) }
    if (order.type === "deregister") {
      await endpoint.deregister(peerRegion)
      return "gone"
    }
    const view = span.view(order.start * 4, order.length * 4)
    const words = new Uint32Array(view.buffer, view.byteOffset, order.length)
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
