import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { fileURLToPath } from "node:url"
import { kvErrorFromRecord } from "../../errors/kv-error.ts"
import type { EndpointAddress, RegionDescriptor, Rights, Session } from "../transport.ts"
import type { Orders } from "./nixl-child.test.kit.ts"

interface Reply {
  readonly call: number
  readonly value?: unknown
  readonly error?: unknown
}

/** Another process with a nixl endpoint. */
export class NixlProcess implements AsyncDisposable {
  readonly address: EndpointAddress
  /** The exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>
  readonly #child: ChildProcess
  readonly #waiting: Map<number, (reply: Reply) => void>
  #next = 1

  private constructor(
    child: ChildProcess,
    address: EndpointAddress,
    waiting: Map<number, (reply: Reply) => void>,
    exited: Promise<number | string>,
  ) {
    this.#child = child
    this.address = address
    this.#waiting = waiting
    this.exited = exited
  }

  /** @param env for UCX, say: which of its transports it may use. */
  static async start(library: string, env: NodeJS.ProcessEnv = {}): Promise<NixlProcess> {
    const script = fileURLToPath(new URL("./nixl-child.test.kit.js", import.meta.url))
    const child = spawn(process.execPath, [script, library], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      env: { ...process.env, ...env },
    })
    const waiting = new Map<number, (reply: Reply) => void>()
    child.on("message", (reply: Reply) => {
      waiting.get(reply.call)?.(reply)
      waiting.delete(reply.call)
    })
    const exited = new Promise<number | string>((resolve) => {
      child.once("exit", (code, signal) => {
        resolve(code ?? signal ?? "unknown")
        const error = { code: "KV_WORKER_LOST", what: `the child ended with ${code ?? signal}` }
        for (const [call, answer] of waiting) answer({ call, error })
      })
    })
    const address = await new Promise<EndpointAddress>((resolve, reject) => {
      waiting.set(0, ({ value, error }) => {
        if (error === undefined) resolve(value as EndpointAddress)
        else reject(kvErrorFromRecord(error, "KV_INTERNAL"))
      })
    })
    return new NixlProcess(child, address, waiting, exited)
  }

  /** @throws KvError what the order failed with there. */
  async tell<Name extends keyof Orders>(
    name: Name,
    order: Parameters<Orders[Name]>[0],
  ): Promise<Awaited<ReturnType<Orders[Name]>>> {
    const call = this.#next++
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(call, resolve)
      this.#child.send({ call, name, order }, (error) => {
        if (error !== null) resolve({ call, error: { code: "KV_WORKER_LOST", what: error.message } })
      })
    })
    if (reply.error !== undefined) throw kvErrorFromRecord(reply.error, "KV_INTERNAL")
    return reply.value as Awaited<ReturnType<Orders[Name]>>
  }

  /** Lets `caller` in with a session of its own, and connects it. */
  async meet(caller: NixlProcess, regions: RegionDescriptor[], rights: Rights): Promise<void> {
    const session: Session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
    const { id } = session
    const key = Buffer.from(session.key).toString("hex")
    await this.tell("admit", { id, key, rights })
    await caller.tell("connect", { id, key, address: this.address, regions, millis: 10_000 })
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL")
    await this.exited
  }
}
