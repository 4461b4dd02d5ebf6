import type { Worker } from "node:worker_threads"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { ControlMemory } from "../../os/control-memory.ts"
import { Doorbell, type SharedDoorbell } from "../../os/doorbell.ts"
import { startThread } from "../../os/worker-thread.ts"
import type { RailCommand, RailEvent, RailStart } from "./rail-messages.ts"

/**
 * The rails' threads that run. One that blocks in a native call would keep `process.exit` waiting for ever,
 * so all are woken up first, whatever the exit's reason.
 */
const running = new Set<RailThread>()
process.on("exit", () => {
  for (const thread of running) thread.interrupt()
})

/** A rail's thread as the main thread holds it: commands in, events out, and an end that cannot be missed. */
export class RailThread {
  readonly #worker: Worker
  readonly #memory = new ControlMemory(4096)
  readonly #doorbell: Doorbell
  readonly #stopFlag = new Int32Array(new SharedArrayBuffer(4))
  readonly #exited: Promise<void>
  readonly #running: Promise<void>
  #gone: KvError | undefined
  #stopped: Promise<void> | undefined

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE when the thread cannot open its port. */
  static async start(
    file: URL,
    start: Omit<RailStart, "stopFlag">,
    onEvent: (event: RailEvent) => void,
  ): Promise<RailThread> {
    const thread = new RailThread(file, start, onEvent)
    try {
      await thread.#running
      return thread
    } catch (thrown) {
      await thread.stop()
      throw thrown
    }
  }

  private constructor(file: URL, start: Omit<RailStart, "stopFlag">, onEvent: (event: RailEvent) => void) {
    this.#doorbell = new Doorbell(start.doorbell, this.#memory)
    this.#worker = startThread(file, { ...start, stopFlag: this.#stopFlag.buffer })
    // From here on: the thread may sleep before we hear its first word, and the process may exit meanwhile.
    running.add(this)
    this.#exited = new Promise((resolve) => this.#worker.once("exit", () => resolve()))
    this.#running = new Promise((resolve, reject) => {
      const lost = (error: KvError): void => {
        if (this.#gone !== undefined) return
        this.#gone = error
        reject(error)
        onEvent({ type: "failed", error: error.toJSON() })
      }
      this.#worker.on("message", (event: RailEvent) => {
        if (event.type === "running") resolve()
        else if (event.type === "failed") lost(kvErrorFromRecord(event.error, "KV_TRANSPORT_UNAVAILABLE"))
        else onEvent(event)
      })
      const died = (why: string): void =>
        lost(new KvError("KV_TRANSPORT_UNAVAILABLE", { what: "the thread of a rail ended", why }))
      this.#worker.on("error", (error) => died(error.message))
      this.#worker.on("exit", () => died("it exited"))
    })
  }

  /** True when the thread has ended or failed. */
  get gone(): boolean {
    return this.#gone !== undefined
  }

  /** Sends a command; it is carried out in order. One that is gone hears nothing: its end was an event. */
  tell(command: RailCommand): void {
    if (this.#gone !== undefined) return
    this.#worker.postMessage(command)
    this.#doorbell.ring()
  }

  /** Ends the thread; resolves when it is gone and touches no memory any more. Safe to call again. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  /** Tells the thread to end, without waiting for it. */
  interrupt(): void {
    Atomics.store(this.#stopFlag, 0, 1)
    this.#doorbell.ring()
  }

  async #stop(): Promise<void> {
    this.interrupt()
    await this.#exited
    running.delete(this)
    this.#memory[Symbol.dispose]()
  }
}

/** Closes a doorbell when every thread that rings or hears it is gone: its number is somebody else's afterwards. */
export function closeDoorbells(doorbells: readonly SharedDoorbell[]): void {
  const memory = new ControlMemory(4096)
  for (const doorbell of doorbells) new Doorbell(doorbell, memory).close()
  memory[Symbol.dispose]()
}
