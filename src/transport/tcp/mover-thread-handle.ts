import { Worker } from "node:worker_threads"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { ControlMemory } from "../../os/control-memory.ts"
import { openWakeUp, WakeUp } from "../../os/wake-up.ts"
import type { MoverCommand, MoverEvent, MoverStart } from "./mover-messages.ts"

/**
 * The movers that run. A thread that blocks in a native call would keep `process.exit` waiting for ever,
 * so all are woken up first, whatever the exit's reason.
 */
const running = new Set<MoverThread>()
process.on("exit", () => {
  for (const mover of running) mover.interrupt()
})

/** A mover thread as the main thread holds it: commands in, events out, and an end that cannot be missed. */
export class MoverThread {
  /** Port that the mover's listener got. */
  readonly port: number
  readonly #worker: Worker
  readonly #wakeUp: WakeUp
  readonly #memory: ControlMemory
  readonly #stopFlag: Int32Array
  readonly #calls = new Map<number, () => void>()
  #nextCall = 1
  #gone: KvError | undefined

  /** @throws KvError KV_OS, KV_PORT_IN_USE when the mover cannot listen on `host`. */
  static async start(host: string, onEvent: (event: MoverEvent) => void): Promise<MoverThread> {
    const wakeUp = openWakeUp()
    const stopFlag = new SharedArrayBuffer(4)
    const workerData: MoverStart = { host, wakeUp, stopFlag }
    const worker = new Worker(new URL("./mover-thread.js", import.meta.url), { workerData })
    const first = await new Promise<MoverEvent>((resolve, reject) => {
      worker.once("message", resolve)
      worker.once("error", reject)
    })
    if (first.type !== "listening") {
      throw first.type === "failed"
        ? kvErrorFromRecord(first.error, "KV_OS")
        : new Error(`unexpected ${first.type}`)
    }
    return new MoverThread(worker, wakeUp, stopFlag, first.port, onEvent)
  }

  private constructor(
    worker: Worker,
    wakeUp: number,
    stopFlag: SharedArrayBuffer,
    port: number,
    onEvent: (event: MoverEvent) => void,
  ) {
    this.port = port
    this.#worker = worker
    this.#memory = new ControlMemory(4096)
    this.#wakeUp = new WakeUp(wakeUp, this.#memory)
    this.#stopFlag = new Int32Array(stopFlag)
    worker.on("message", (event: MoverEvent) => {
      if (event.type === "done") this.#answered(event.call)
      else if (event.type === "failed")
        this.#lost(kvErrorFromRecord(event.error, "KV_TRANSPORT_UNAVAILABLE"), onEvent)
      else onEvent(event)
    })
    const died = (why: string): void =>
      this.#lost(new KvError("KV_TRANSPORT_UNAVAILABLE", { what: "a mover thread ended", why }), onEvent)
    worker.on("error", (error) => died(error.message))
    worker.on("exit", () => died("its thread exited"))
    running.add(this)
  }

  /** Sends a command; it is carried out in order. */
  tell(command: MoverCommand): void {
    if (this.#gone !== undefined) throw this.#gone
    this.#worker.postMessage(command)
    this.#wakeUp.ring()
  }

  /** Sends a command that is answered; resolves when it was carried out, or when the thread is gone. */
  ask(command: (call: number) => MoverCommand): Promise<void> {
    if (this.#gone !== undefined) return Promise.resolve()
    const call = this.#nextCall++
    return new Promise((resolve) => {
      this.#calls.set(call, resolve)
      this.tell(command(call))
    })
  }

  /** Ends the thread; resolves when it is gone and touches no memory any more. */
  async stop(): Promise<void> {
    if (this.#gone === undefined) {
      const exited = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()))
      this.interrupt()
      await exited
    }
    running.delete(this)
    this.#wakeUp.close()
    this.#memory[Symbol.dispose]()
  }

  /** Tells the thread to end, without waiting for it. */
  interrupt(): void {
    Atomics.store(this.#stopFlag, 0, 1)
    this.#wakeUp.ring()
  }

  #answered(call: number): void {
    this.#calls.get(call)?.()
    this.#calls.delete(call)
  }

  #lost(error: KvError, onEvent: (event: MoverEvent) => void): void {
    if (this.#gone !== undefined) return
    this.#gone = error
    for (const call of [...this.#calls.keys()]) this.#answered(call)
    onEvent({ type: "failed", error: error.toJSON() })
  }
}
