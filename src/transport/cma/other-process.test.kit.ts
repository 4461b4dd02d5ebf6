/**
 * A second process for the tests of cma: it owns a region, or reads somebody else's, as it is told.
 *
 * Run as a program it is that process; imported it starts one.
 */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { KvErrorRecord } from "../../errors/kv-error.ts"
import type { HostMapping } from "../../memory/host-memory.ts"
import { openCrew } from "../../movers/thread-crew.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { ProcessMemory } from "../../os/process-memory.ts"
import type { Endpoint, EndpointAddress, Reach, RegionDescriptor, Rights, Session } from "../transport.ts"
import { createCma } from "./cma.ts"
import { parseAddress } from "./cma-address.ts"
import { lookBytes, PeerBeacon } from "./peer-beacon.ts"

/** A session as it crosses between the two. */
interface SessionText {
  readonly id: string
  readonly key: string
}

type Command =
  | { readonly do: "own"; readonly bytes: number; readonly session: SessionText; readonly rights: Rights }
  | { readonly do: "deregister" }
  | { readonly do: "dismiss"; readonly session: SessionText }
  | { readonly do: "fill"; readonly byte: number }
  | { readonly do: "bytes"; readonly offset: number; readonly length: number }
  | { readonly do: "reach"; readonly address: EndpointAddress }
  | { readonly do: "announce a write"; readonly address: EndpointAddress; readonly session: SessionText }

/** What the owner's word number `i` is. */
export const wordAt = (i: number): number => (i * 2654435761 + 12345) >>> 0

/** The other process as the test holds it. */
export class OtherProcess implements AsyncDisposable {
  readonly child: ChildProcess
  address!: EndpointAddress
  descriptor!: RegionDescriptor

  /** @param uid runs it as another user, which only root can. */
  static async start(uid?: number): Promise<OtherProcess> {
    const other = new OtherProcess(uid)
    await other.#answer()
    return other
  }

  private constructor(uid?: number) {
    const options = { stdio: ["ignore", "inherit", "inherit", "ipc"] as ("ignore" | "inherit" | "ipc")[] }
    const path = fileURLToPath(import.meta.url)
    this.child = fork(path, [], uid === undefined ? options : { ...options, uid, gid: uid })
  }

  get pid(): number {
    return this.child.pid!
  }

  async own(bytes: number, session: Session, rights: Rights): Promise<void> {
    const answer = await this.ask({ do: "own", bytes, session: textOf(session), rights })
    const owned = answer as { address: EndpointAddress; descriptor: RegionDescriptor }
    this.address = owned.address
    this.descriptor = owned.descriptor
  }

  ask(command: Command): Promise<unknown> {
    const answer = this.#answer()
    this.child.send(command)
    return answer
  }

  async reach(address: EndpointAddress): Promise<Reach> {
    return (await this.ask({ do: "reach", address })) as Reach
  }

  /** Ends it as nothing can be caught or cleaned up. */
  kill(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.child.once("exit", () => resolve()))
    this.child.kill("SIGKILL")
    return gone
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.kill()
  }

  #answer(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error("the other process ended"))
      this.child.once("exit", onExit)
      this.child.once("message", (message: { answer?: unknown; error?: KvErrorRecord }) => {
        this.child.off("exit", onExit)
        if (message.error === undefined) resolve(message.answer)
        else reject(new Error(JSON.stringify(message.error)))
      })
    })
  }
}

export const textOf = ({ id, key }: Session): SessionText => ({ id, key: Buffer.from(key).toString("hex") })
const sessionOf = ({ id, key }: SessionText): Session => ({ id, key: Buffer.from(key, "hex") })

/** What the process does when it is the program. */
async function serve(): Promise<void> {
  const crew = await openCrew({ threads: 1 })
  const endpoint: Endpoint = await createCma({ crew }).open({ host: "127.0.0.1", rails: 1 })
  let span: HostMapping | undefined
  const obey = async (command: Command): Promise<unknown> => {
    switch (command.do) {
      case "own": {
        span = hostMemory.map(command.bytes, "cma-other")
        const bytes = span.view(0, command.bytes)
        const words = new Uint32Array(bytes.buffer, bytes.byteOffset, command.bytes / 4)
        for (let i = 0; i < words.length; i++) words[i] = wordAt(i)
        const descriptor = await endpoint.register(3, span, { read: true, write: true })
        await endpoint.admit(sessionOf(command.session), command.rights)
        return { address: endpoint.address, descriptor }
      }
      case "deregister":
        return endpoint.deregister(3)
      case "dismiss":
        return endpoint.dismiss(command.session.id)
      case "fill":
        span!.view(0, span!.byteLength).fill(command.byte)
        return undefined
      case "bytes":
        return Buffer.from(span!.view(command.offset, command.length)).toString("hex")
      case "reach":
        return endpoint.reaches(command.address)
      case "announce a write": {
        const beacon = new PeerBeacon(
          new ProcessMemory(lookBytes),
          parseAddress(command.address)!,
          sessionOf(command.session),
        )
        beacon.tellWrites(1, 0)
        return undefined
      }
    }
  }
  process.on("message", (command: Command) => {
    obey(command).then(
      (answer) => process.send!({ answer }),
      (error: unknown) => process.send!({ error: error instanceof Error ? { what: error.message } : error }),
    )
  })
  process.on("disconnect", () => process.exit(0))
  process.send!({ answer: "ready" })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve()
