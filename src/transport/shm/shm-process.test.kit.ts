import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { fileURLToPath } from "node:url"
import { kvErrorFromRecord } from "../../errors/kv-error.ts"
import type { EndpointAddress, Session } from "../transport.ts"
import type { Orders } from "./shm-child.test.kit.ts"

interface Reply {
  readonly call: number
  readonly value?: unknown
  readonly error?: unknown
}

/** Another process with an shm endpoint. */
export class ShmProcess implements AsyncDisposable {
  readonly pid: number
  readonly address: EndpointAddress
  readonly #child: ChildProcess
  readonly #waiting: Map<number, (reply: Reply) => void>
  readonly #exited: Promise<void>
  #next = 1

  private constructor(
    child: ChildProcess,
    address: EndpointAddress,
    waiting: Map<number, (reply: Reply) => void>,
  ) {
    this.#child = child
    this.pid = child.pid!
    this.address = address
    this.#waiting = waiting
    this.#exited = new Promise((resolve) => child.once("exit", () => resolve()))
  }

  /** @param how.socket the name to listen on; @param how.filesMax the limit of open files of the process. */
  static async start(
    how: { readonly socket?: string; readonly filesMax?: number } = {},
  ): Promise<ShmProcess> {
    const script = fileURLToPath(new URL("./shm-child.test.kit.js", import.meta.url))
    const limit = how.filesMax === undefined ? "" : `ulimit -n ${how.filesMax}; `
    const args = ["-c", `${limit}exec "$0" "$@"`, process.execPath, script]
    if (how.socket !== undefined) args.push(how.socket)
    const child = spawn("sh", args, { stdio: ["ignore", "inherit", "inherit", "ipc"] })
    const waiting = new Map<number, (reply: Reply) => void>()
    child.on("message", (reply: Reply) => {
      waiting.get(reply.call)?.(reply)
      waiting.delete(reply.call)
    })
    const address = await new Promise<EndpointAddress>((resolve, reject) => {
      waiting.set(0, ({ value }) => resolve(value as EndpointAddress))
      child.once("exit", (code) => reject(new Error(`the child ended with ${code}`)))
    })
    return new ShmProcess(child, address, waiting)
  }

  /** @throws KvError what the order failed with there. */
  async tell<Name extends keyof Orders>(
    name: Name,
    order: Parameters<Orders[Name]>[0],
  ): Promise<Awaited<ReturnType<Orders[Name]>>> {
    const call = this.#next++
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(call, resolve)
      this.#child.send({ call, name, order })
    })
    if (reply.error !== undefined) throw kvErrorFromRecord(reply.error, "KV_INTERNAL")
    return reply.value as Awaited<ReturnType<Orders[Name]>>
  }

  async admit(session: Session, rights: { read: boolean; write: boolean }): Promise<void> {
    await this.tell("admit", { id: session.id, key: Buffer.from(session.key).toString("hex"), rights })
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL")
    await this.#exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

export function newSession(): Session {
  return { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
}
