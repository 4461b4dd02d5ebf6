import type { Worker } from "node:worker_threads"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { ControlMemory } from "../../os/control-memory.ts"
import { openWakeUp, WakeUp } from "../../os/wake-up.ts"
import { startThread } from "../../os/worker-thread.ts"
import type { MoverCommand, MoverEvent, MoverStart } from "./mover-messages.ts"
import { ThreadCalls } from "./thread-calls.ts"

/**
 * The movers that run. A thread that blocks in a native call would keep `process.exit` waiting for ever,
 * so all are woken up first, whatever the exit's reason.
 */
const running = new Set<MoverThread>()
process.on("exit", () => {
  for (const mover of running) mover.interrupt()
})

/** How a mover waits. */
export type MoverSpin = Pick<MoverStart, "spinners" | "spinMicros">

/** A mover thread as the main thread holds it: commands in, events out, and an end that cannot be missed. */
export class MoverThread {
  readonly #worker: Worker
  readonly #wakeUp: WakeUp
  readonly #memory: ControlMemory
  readonly #stopFlag = new Int32Array(new SharedArrayBuffer(4))
  readonly #calls = new ThreadCalls()
  readonly #listening: Promise<number>
  readonly #exited: Promise<void>
  #port = 0
  #gone: KvError | undefined
  #stopped: Promise<void> | undefined

  /** @throws KvError KV_OS, KV_PORT_IN_USE when the mover cannot listen on `host`. */
  static async start(
    host: string | undefined,
    spin: MoverSpin,
    onEvent: (event: MoverEvent) => void,
  ): Promise<MoverThread> {
    const mover = new MoverThread(host, spin, onEvent)
    try {
      mover.#port = await mover.#listening
      return mover
    } catch (thrown) {
      await mover.stop()
      throw thrown
    }
  }

  private constructor(host: string | undefined, spin: MoverSpin, onEvent: (event: MoverEvent) => void) {
    this.#memory = new ControlMemory(4096)
    this.#wakeUp = new WakeUp(openWakeUp(), this.#memory)
    const stopFlag = this.#stopFlag.buffer
    const start: MoverStart = { host, wakeUp: this.#wakeUp.fd, stopFlag, ...spin }
    const worker = startThread(new URL("./mover-thread.js", import.meta.url), start)
    this.#worker = worker
    // From here on: the thread may block before we hear its first word, and the process may exit meanwhile.
    running.add(this)
    this.#exited = new Promise((resolve) => worker.once("exit", () => resolve()))
    this.#listening = new Promise((resolve, reject) => {
      worker.on("message", (event: MoverEvent) => {
        if (event.type === "listening") resolve(event.port)
        else if (event.type === "done") this.#calls.answered(event.call)
        else if (event.type === "failed")
          this.#lost(kvErrorFromRecord(event.error, "KV_TRANSPORT_UNAVAILABLE"), onEvent, reject)
        else onEvent(event)
      })
      const died = (why: string): void => {
        const error = new KvError("KV_TRANSPORT_UNAVAILABLE", { what: "a mover thread ended", why })
        this.#lost(error, onEvent, reject)
      }
      worker.on("error", (error) => died(error.message))
      worker.on("exit", () => died("its thread exited"))
    })
  }

  /** Port that the mover's listener got; 0 without one. */
  get port(): number {
    return this.#port
  }

  /** True when the thread has ended or failed. */
  get gone(): boolean {
    return this.#gone !== undefined
  }

  /** Sends a command; it is carried out in order. */
  tell(command: MoverCommand): void {
    if (this.#gone !== undefined) throw this.#gone
    this.#worker.postMessage(command)
    this.#wakeUp.ring()
  }

  /** `tell` for what a thread that is gone needs not be told. */
  tellQuietly(command: MoverCommand): void {
    if (this.#gone === undefined) this.tell(command)
  }

  /** Sends a command that is answered; resolves when it was carried out, or when the thread is gone. */
  ask(command: (call: number) => MoverCommand): Promise<void> {
    if (this.#gone !== undefined) return Promise.resolve()
    return this.#calls.ask((call) => this.tell(command(call)))
  }

  /** Ends the thread; resolves when it is gone and touches no memory any more. Safe to call again. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  /** Tells the thread to end, without waiting for it. */
  interrupt(): void {
    Atomics.store(this.#stopFlag, 0, 1)
    this.#wakeUp.ring()
  }

  async #stop(): Promise<void> {
    this.interrupt()
    await this.#exited
    running.delete(this)
    // Closed once: its number is somebody else's descriptor afterwards.
    this.#wakeUp.close()
    this.#memory[Symbol.dispose]()
  }

  #lost(error: KvError, onEvent: (event: MoverEvent) => void, failStart: (error: KvError) => void): void {
    if (this.#gone !== undefined) return
    this.#gone = error
    failStart(error)
    this.#calls.end()
    onEvent({ type: "failed", error: error.toJSON() })
  }
}
