import type { Worker } from "node:worker_threads"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { CallWatch } from "../../os/call-watch.ts"
import { leaveNow } from "../../os/leave-at-exit.ts"
import { nixlFunctionName } from "../../os/nixl/nixl-library.ts"
import { startThread } from "../../os/worker-thread.ts"
import type { NixlCommand, NixlEvent, NixlStart } from "./thread-messages.ts"

/** How often we look whether the thread comes back out of NIXL, while something is asked of it. */
const lookMillis = 250
/**
 * A call that takes longer is taken to be endless: one of a transfer, also when a deadline has passed meanwhile; one
 * that opens or ends an agent; one that pins a large pool for a NIC.
 */
const stuckMillis = { move: 5000, overdue: 750, agent: 15_000, register: 120_000 } as const

/** Threads that NIXL does not give back: the process would wait for them for ever when it ends. */
const stuck = new Set<NixlThread>()
process.on("exit", (code) => {
  if (stuck.size > 0) leaveNow(code)
})

/** The thread of a nixl endpoint as the main thread holds it. */
export class NixlThread {
  readonly #worker: Worker
  readonly #watch = new CallWatch()
  readonly #onEvent: (event: NixlEvent) => void
  readonly #listening: Promise<number>
  readonly #exited: Promise<void>
  readonly #calls = new Map<number, { resolve(): void; reject(error: KvError): void }>()
  #nextCall = 1
  #port = 0
  #gone: KvError | undefined
  #stopping = false
  #overdue = false
  #looker: NodeJS.Timeout | undefined

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE when NIXL cannot be opened; KV_PORT_IN_USE, KV_OS. */
  static async start(
    start: Omit<NixlStart, "watch">,
    onEvent: (event: NixlEvent) => void,
  ): Promise<NixlThread> {
    const thread = new NixlThread(start, onEvent)
    thread.#port = await thread.#listening
    return thread
  }

  private constructor(start: Omit<NixlStart, "watch">, onEvent: (event: NixlEvent) => void) {
    this.#onEvent = onEvent
    const data: NixlStart = { ...start, watch: this.#watch.buffer }
    const worker = startThread(new URL("./nixl-thread.js", import.meta.url), data)
    this.#worker = worker
    this.#exited = new Promise((resolve) => worker.once("exit", () => resolve()))
    this.#listening = new Promise((resolve, reject) => {
      const lost = (error: KvError): void => {
        reject(error)
        this.#lose(error)
      }
      worker.on("message", (event: NixlEvent) => {
        if (event.type === "listening") resolve(event.port)
        else if (event.type === "done") this.#answered(event)
        else if (event.type === "failed") lost(kvErrorFromRecord(event.error, "KV_TRANSPORT_UNAVAILABLE"))
        else onEvent(event)
      })
      const died = (why: string): void =>
        lost(new KvError("KV_TRANSPORT_UNAVAILABLE", { what: "the thread of a nixl endpoint ended", why }))
      worker.on("error", (error) => died(error.message))
      worker.on("exit", () => died("its thread exited"))
    })
  }

  /** Port of the side channels. */
  get port(): number {
    return this.#port
  }

  /** Why nothing can be asked of it any more. */
  get gone(): KvError | undefined {
    return this.#gone
  }

  /** Whether it is gone because NIXL has not come back from a call. */
  get stuck(): boolean {
    return stuck.has(this)
  }

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE when the thread is gone. */
  tell(command: NixlCommand): void {
    if (this.#gone !== undefined) throw this.#gone
    this.#worker.postMessage(command)
  }

  /** `tell` for what a thread that is gone needs not be told. */
  tellQuietly(command: NixlCommand): void {
    if (this.#gone === undefined) this.#worker.postMessage(command)
  }

  /** Sends a command that is answered. @throws KvError what it failed with, or why the thread is gone. */
  ask(command: (call: number) => NixlCommand): Promise<void> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone)
    const call = this.#nextCall++
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject })
      this.#worker.postMessage(command(call))
      this.#lookOut()
    })
  }

  /** Something was asked that has a deadline: from now on we look whether NIXL comes back. */
  watch(): void {
    this.#lookOut()
  }

  /** A deadline has passed, and the thread has not said what became of it. */
  overdue(): void {
    this.#overdue = true
  }

  /** Nothing is under way. */
  rest(): void {
    this.#overdue = false
    if (this.#calls.size > 0) return
    clearInterval(this.#looker)
    this.#looker = undefined
  }

  /** Ends the thread; resolves when it is gone, or given up. Safe to call again. */
  async stop(): Promise<void> {
    if (!this.#stopping && this.#gone === undefined) {
      this.#stopping = true
      this.#worker.postMessage({ type: "stop" } satisfies NixlCommand)
      this.#lookOut()
    }
    if (!stuck.has(this)) await Promise.race([this.#exited, this.#givenUp])
    clearInterval(this.#looker)
  }

  #resolveGivenUp!: () => void
  readonly #givenUp = new Promise<void>((resolve) => {
    this.#resolveGivenUp = resolve
  })

  #lookOut(): void {
    this.#looker ??= setInterval(() => this.#look(), lookMillis).unref()
  }

  #look(): void {
    const inside = this.#watch.look(performance.now())
    if (inside === undefined) return
    const name = nixlFunctionName(inside.index)
    if (inside.millis < this.#patience(name)) return
    stuck.add(this)
    this.#worker.unref()
    // Should it come back all the same, it shall touch nothing any more.
    this.#worker.postMessage({ type: "stop" } satisfies NixlCommand)
    this.#resolveGivenUp()
    this.#lose(
      new KvError("KV_TRANSPORT_UNAVAILABLE", {
        what: `NIXL has not come back from ${name} for ${Math.round(inside.millis)} ms`,
        why: "a call of a library cannot be ended from outside, and may still write into memory of its transfer",
        next: "do not use the memory of these transfers again, and end this process",
      }),
    )
  }

  #patience(name: string): number {
    if (name.endsWith("register_mem")) return stuckMillis.register
    if (/create_(configured_agent|backend)|destroy_agent/.test(name)) return stuckMillis.agent
    return this.#overdue ? stuckMillis.overdue : stuckMillis.move
  }

  #answered({ call, error }: Extract<NixlEvent, { type: "done" }>): void {
    const waiting = this.#calls.get(call)
    this.#calls.delete(call)
    if (error === undefined) waiting?.resolve()
    else waiting?.reject(kvErrorFromRecord(error, "KV_INTERNAL"))
  }

  #lose(error: KvError): void {
    if (this.#gone !== undefined) return
    this.#gone = error
    clearInterval(this.#looker)
    for (const { resolve, reject } of this.#calls.values()) {
      if (this.#stopping) resolve()
      else reject(error)
    }
    this.#calls.clear()
    this.#onEvent({ type: "failed", error: error.toJSON() })
  }
}
