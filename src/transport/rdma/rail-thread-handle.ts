import type { Worker } from "node:worker_threads"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { CallWatch } from "../../os/call-watch.ts"
import { sharedMillis } from "../../os/clock.ts"
import { ControlMemory } from "../../os/control-memory.ts"
import { Doorbell, type SharedDoorbell } from "../../os/doorbell.ts"
import { leaveNow } from "../../os/leave-at-exit.ts"
import { startThread } from "../../os/worker-thread.ts"
import { RailDues } from "./rail-dues.ts"
import type { RailCommand, RailEvent, RailStart } from "./rail-messages.ts"
import { watchedCall } from "./watched-port.ts"

/** How often we look whether a rail's thread comes back out of its fabric, while it has lanes. */
const lookMillis = 250
/** How long the rails' threads may take to end when the process does. */
const exitMillisMax = 3000

/** What the thread of a rail is started with, beside what its handle adds. */
export type RailThreadStart = Omit<RailStart, "stopFlag" | "watch">

/**
 * The rails' threads that run. One that blocks in a native call would keep `process.exit` waiting for ever, so all are
 * woken up first, whatever the exit's reason; and where one does not come back, nobody waits for it.
 */
const running = new Set<RailThread>()
const atExit = (code: number): void => {
  for (const thread of running) thread.interrupt()
  const end = performance.now() + exitMillisMax
  for (const thread of running) if (!thread.awaitEnd(end - performance.now())) leaveNow(code)
}

/** A rail's thread as the main thread holds it: commands in, events out, and an end that cannot be missed. */
export class RailThread {
  readonly #worker: Worker
  readonly #memory = new ControlMemory(4096)
  readonly #doorbell: Doorbell
  readonly #stopFlag = new Int32Array(new SharedArrayBuffer(4))
  readonly #watch = new CallWatch()
  readonly #dues = new RailDues()
  readonly #name: string
  readonly #onEvent: (event: RailEvent) => void
  /** Resolves when it has exited, or was given up. */
  readonly #left: Promise<void>
  readonly #running: Promise<void>
  #resolveLeft!: () => void
  #looker: NodeJS.Timeout | undefined
  #gone: KvError | undefined
  #stuck: KvError | undefined
  #stopped: Promise<void> | undefined

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE when the thread cannot open its port. */
  static async start(
    file: URL,
    start: RailThreadStart,
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

  private constructor(file: URL, start: RailThreadStart, onEvent: (event: RailEvent) => void) {
    this.#name = `rail ${start.rail} of ${start.transport}`
    this.#onEvent = onEvent
    this.#doorbell = new Doorbell(start.doorbell, this.#memory)
    const data: RailStart = { ...start, stopFlag: this.#stopFlag.buffer, watch: this.#watch.buffer }
    this.#worker = startThread(file, data)
    // From here on: the thread may sleep before we hear its first word, and the process may exit meanwhile.
    running.add(this)
    // Behind whatever else is to be done at the exit: after it there may be nothing more.
    process.off("exit", atExit).on("exit", atExit)
    this.#left = new Promise((resolve) => {
      this.#resolveLeft = resolve
    })
    this.#running = new Promise((resolve, reject) => {
      const lost = (error: KvError): void => {
        if (this.#gone !== undefined) return
        reject(error)
        this.#lose(error)
      }
      this.#worker.on("message", (event: RailEvent) => {
        if (event.type === "running") resolve()
        else if (event.type === "failed") lost(kvErrorFromRecord(event.error, "KV_TRANSPORT_UNAVAILABLE"))
        else this.#hear(event)
      })
      const died = (why: string): void =>
        lost(new KvError("KV_TRANSPORT_UNAVAILABLE", { what: "the thread of a rail ended", why }))
      this.#worker.on("error", (error) => died(error.message))
      this.#worker.on("exit", () => {
        running.delete(this)
        this.#resolveLeft()
        died("it exited")
      })
    })
  }

  /** True when the thread has ended or failed, or was given up. */
  get gone(): boolean {
    return this.#gone !== undefined
  }

  /**
   * Set when the fabric has not come back from a call: then nobody knows what it still does, and nothing of that rail
   * may be called by anybody.
   */
  get stuck(): KvError | undefined {
    return this.#stuck
  }

  /** Sends a command; it is carried out in order. One that is gone hears nothing: its end was an event. */
  tell(command: RailCommand): void {
    if (this.#gone !== undefined) return
    this.#dues.told(command, sharedMillis())
    this.#looker ??= setInterval(() => this.#look(), lookMillis).unref()
    this.#worker.postMessage(command)
    this.#doorbell.ring()
  }

  /** Ends the thread; resolves when it is gone and touches no memory any more, or was given up. Safe to call again. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  /** Tells the thread to end, without waiting for it. */
  interrupt(): void {
    Atomics.store(this.#stopFlag, 0, 1)
    if (this.#stuck === undefined) this.#doorbell.ring()
  }

  /** Blocks until the thread has ended or so many milliseconds have passed; one that was given up is not waited for. */
  awaitEnd(millis: number): boolean {
    return this.#watch.awaitEnd(this.#stuck === undefined ? millis : 0)
  }

  async #stop(): Promise<void> {
    this.interrupt()
    this.#looker ??= setInterval(() => this.#look(), lookMillis).unref()
    this.#dues.stopping()
    await this.#left
    clearInterval(this.#looker)
    this.#memory[Symbol.dispose]()
  }

  #hear(event: RailEvent): void {
    // What a rail says when it has come back after all is no news any more.
    if (this.#stuck !== undefined) return
    this.#dues.heard(event)
    this.#onEvent(event)
  }

  #look(): void {
    const inside = this.#watch.look(performance.now())
    if (inside === undefined || this.#gone !== undefined) return
    const { words, millisMax, dueMillisMax } = watchedCall(inside.index)
    if (inside.millis < (this.#dues.due(sharedMillis()) ? dueMillisMax : millisMax)) return
    this.#giveUp(words, inside.millis)
  }

  #giveUp(words: string, millis: number): void {
    this.#stuck = new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: `${this.#name} has not come back from ${words} for ${Math.round(millis)} ms`,
      why: "a call of a library cannot be ended from outside, and whoever else calls it may not come back either",
      next: "end this process and start it again",
    })
    this.#watch.abandon()
    // Should it come back all the same, it ends.
    Atomics.store(this.#stopFlag, 0, 1)
    this.#worker.unref()
    this.#resolveLeft()
    this.#lose(this.#stuck)
  }

  #lose(error: KvError): void {
    this.#gone = error
    clearInterval(this.#looker)
    this.#onEvent({ type: "failed", error: error.toJSON() })
  }
}

/** Closes a doorbell when every thread that rings or hears it is gone: its number is somebody else's afterwards. */
export function closeDoorbells(doorbells: readonly SharedDoorbell[]): void {
  const memory = new ControlMemory(4096)
  for (const doorbell of doorbells) new Doorbell(doorbell, memory).close()
  memory[Symbol.dispose]()
}
