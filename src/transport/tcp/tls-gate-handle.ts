import { Worker } from "node:worker_threads"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import type { GateCommand, GateEvent, GateStart } from "./tls-gate-messages.ts"

/** A gate thread as the main thread holds it. */
export class GateThread {
  readonly #worker: Worker
  readonly #calls = new Map<number, () => void>()
  readonly #listening: Promise<number>
  readonly #exited: Promise<void>
  #port = 0
  #nextCall = 1
  #gone: KvError | undefined
  #stopping = false

  /** @throws KvError KV_OS, KV_PORT_IN_USE when the gate cannot listen on `host`. */
  static async start(host: string, onEvent: (event: GateEvent) => void): Promise<GateThread> {
    const gate = new GateThread(host, onEvent)
    try {
      gate.#port = await gate.#listening
      return gate
    } catch (thrown) {
      await gate.stop()
      throw thrown
    }
  }

  private constructor(host: string, onEvent: (event: GateEvent) => void) {
    // A program that came by --eval says so in its arguments, and a thread that reads a file refuses them.
    const evaluated = process.execArgv.some((argument) => argument.startsWith("--input-type"))
    const file = new URL("./tls-gate-thread.js", import.meta.url)
    const workerData: GateStart = { host }
    const worker = new Worker(file, { workerData, ...(evaluated ? { execArgv: [] } : {}) })
    this.#worker = worker
    this.#exited = new Promise((resolve) => worker.once("exit", () => resolve()))
    this.#listening = new Promise((resolve, reject) => {
      const lost = (error: KvError): void => {
        if (this.#gone !== undefined) return
        this.#gone = error
        reject(error)
        for (const answer of this.#calls.values()) answer()
        this.#calls.clear()
        onEvent({ type: "failed", error: error.toJSON() })
      }
      const died = (why: string): void => {
        // An end that was asked for is no failure of the rail: its streams say what became of them.
        if (!this.#stopping)
          lost(new KvError("KV_TRANSPORT_UNAVAILABLE", { what: "a TLS thread ended", why }))
      }
      worker.on("message", (event: GateEvent) => {
        if (event.type === "listening") resolve(event.port)
        else if (event.type === "failed") lost(kvErrorFromRecord(event.error, "KV_TRANSPORT_UNAVAILABLE"))
        else if (event.type === "done") {
          this.#calls.get(event.call)?.()
          this.#calls.delete(event.call)
        } else onEvent(event)
      })
      worker.on("error", (error) => died(error.message))
      worker.on("exit", () => died("its thread exited"))
    })
  }

  /** Port that the gate listens on. */
  get port(): number {
    return this.#port
  }

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE when the thread is gone. */
  tell(command: GateCommand): void {
    if (this.#gone !== undefined) throw this.#gone
    this.#worker.postMessage(command)
  }

  /** `tell` for what a thread that is gone needs not be told. */
  tellQuietly(command: GateCommand): void {
    if (this.#gone === undefined) this.tell(command)
  }

  /** Sends a command that is answered; resolves when it was carried out, or when the thread is gone. */
  ask(command: (call: number) => GateCommand): Promise<void> {
    if (this.#gone !== undefined) return Promise.resolve()
    const call = this.#nextCall++
    return new Promise((resolve) => {
      this.#calls.set(call, resolve)
      this.tell(command(call))
    })
  }

  /** Ends the thread and all its streams. Safe to call again. */
  async stop(): Promise<void> {
    if (!this.#stopping) this.#worker.postMessage({ type: "stop" } satisfies GateCommand)
    this.#stopping = true
    await this.#exited
    for (const answer of this.#calls.values()) answer()
  }
}
