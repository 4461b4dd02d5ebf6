import type { Worker } from "node:worker_threads"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { startThread } from "../../os/worker-thread.ts"
import { ThreadCalls } from "./thread-calls.ts"
import type { GateCommand, GateEvent, GateStart } from "./tls-gate-messages.ts"

/** A gate thread as the main thread holds it. */
export class GateThread {
  readonly #worker: Worker
  readonly #calls = new ThreadCalls()
  readonly #listening: Promise<number>
  readonly #exited: Promise<void>
  #port = 0
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
    const start: GateStart = { host }
    const worker = startThread(new URL("./tls-gate-thread.js", import.meta.url), start)
    this.#worker = worker
    this.#exited = new Promise((resolve) => worker.once("exit", () => resolve()))
    this.#listening = new Promise((resolve, reject) => {
      const lost = (error: KvError): void => {
        if (this.#gone !== undefined) return
        this.#gone = error
        reject(error)
        this.#calls.end()
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
        else if (event.type === "done") this.#calls.answered(event.call)
        else onEvent(event)
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
    return this.#calls.ask((call) => this.tell(command(call)))
  }

  /** Ends the thread and all its streams. Safe to call again. */
  async stop(): Promise<void> {
    if (!this.#stopping) this.#worker.postMessage({ type: "stop" } satisfies GateCommand)
    this.#stopping = true
    await this.#exited
    this.#calls.end()
  }
}
