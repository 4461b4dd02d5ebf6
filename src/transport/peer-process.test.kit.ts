import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { kvErrorFromRecord } from "../errors/kv-error.ts"
import { type Action, type PeerOrders, type Reply, textOf } from "./peer-orders.test.kit.ts"
import type { EndpointAddress, RegionDescriptor, Rights, Session } from "./transport.ts"

export const newSession = (): Session => ({ id: randomBytes(16).toString("hex"), key: randomBytes(32) })

/** A second process with one endpoint, as its parent holds it: for tests between two real processes. Killed when disposed of. */
export class PeerProcess<Orders extends PeerOrders & Record<keyof Orders, Action> = PeerOrders>
  implements AsyncDisposable
{
  readonly pid: number
  /** The exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (reply: Reply) => void>()
  readonly #opened: Promise<unknown>
  #address: EndpointAddress | undefined
  #next = 1

  /**
   * @param program its file
   * @param how.filesMax the limit of open files of the process
   */
  constructor(
    program: string,
    how: { readonly args?: readonly string[]; readonly env?: NodeJS.ProcessEnv; readonly filesMax?: number },
  ) {
    const limit = how.filesMax === undefined ? "" : `ulimit -n ${how.filesMax}; `
    const args = ["-c", `${limit}exec "$0" "$@"`, process.execPath, program, ...(how.args ?? [])]
    const env = { ...process.env, ...how.env }
    this.#child = spawn("sh", args, { stdio: ["ignore", "inherit", "inherit", "ipc"], env })
    this.pid = this.#child.pid!
    this.#child.on("message", (reply: Reply) => this.#answer(reply))
    this.exited = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => {
        const end = code ?? signal ?? "unknown"
        const error = { code: "KV_WORKER_LOST", what: `the other process ended with ${end}` }
        for (const call of [...this.#waiting.keys()]) this.#answer({ call, error })
        resolve(end)
      })
    })
    this.#opened = this.#reply(0)
  }

  /** Waits until its endpoint is open. */
  async opened(): Promise<this> {
    this.#address = (await this.#opened) as EndpointAddress
    return this
  }

  /** Where its endpoint is reached, once it is open. */
  get address(): EndpointAddress {
    return this.#address!
  }

  /** @throws KvError what the order failed with there; KV_WORKER_LOST when the process ended first. */
  async tell<Name extends keyof Orders & string>(
    name: Name,
    order: Parameters<Orders[Name]>[0],
  ): Promise<Awaited<ReturnType<Orders[Name]>>> {
    return (await this.#order(name, order)) as Awaited<ReturnType<Orders[Name]>>
  }

  async admit(session: Session, rights: Rights): Promise<void> {
    await this.#order("admit", { session: textOf(session), rights })
  }

  /** Lets `caller` in with a session of its own, and connects it. */
  async meet(caller: PeerProcess, regions: RegionDescriptor[], rights: Rights): Promise<void> {
    const session = newSession()
    await this.admit(session, rights)
    const order = { session: textOf(session), address: this.address, regions, millis: 10_000 }
    await caller.tell("connect", order)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Ends it as nothing can be caught or cleaned up. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL")
    await this.exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  #order(name: string, order: object): Promise<unknown> {
    const call = this.#next++
    const reply = this.#reply(call)
    this.#child.send({ call, name, order }, (error) => {
      if (error !== null) this.#answer({ call, error: { code: "KV_WORKER_LOST", what: error.message } })
    })
    return reply
  }

  async #reply(call: number): Promise<unknown> {
    const reply = await new Promise<Reply>((resolve) => this.#waiting.set(call, resolve))
    if (reply.error !== undefined) throw kvErrorFromRecord(reply.error, "KV_INTERNAL")
    return reply.value
  }

  #answer(reply: Reply): void {
    this.#waiting.get(reply.call)?.(reply)
    this.#waiting.delete(reply.call)
  }
}
