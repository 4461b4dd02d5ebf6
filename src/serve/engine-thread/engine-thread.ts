import type { Worker } from "node:worker_threads"
import type { EngineCounters, ModelInfo } from "../../engine/engine.ts"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import type { KvLayout } from "../../kv/kv-layout.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { startThread } from "../../os/worker-thread.ts"
import type {
  DecodeJob,
  EngineCommand,
  EngineEvent,
  EngineStart,
  ModelSource,
  PrefillJob,
} from "./messages.ts"

/** What a finished prefill gives. */
export type Prefilled = Omit<Extract<EngineEvent, { type: "prefilled" }>, "type" | "job" | "counters">
/** What a finished answer gives. */
export type Decoded = Omit<Extract<EngineEvent, { type: "decoded" }>, "type" | "job" | "counters">

interface Waiting {
  readonly onToken: (index: number, token: number) => void
  resolve(event: EngineEvent): void
  reject(error: KvError): void
}

/**
 * A model in a thread of its own, so that the thread of control never waits for arithmetic.
 *
 * A job's blocks belong to it until its promise has settled, also when it is cancelled.
 */
export class EngineThread implements AsyncDisposable {
  readonly model: ModelInfo
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #counters: EngineCounters = { promptTokens: 0, decodeTokens: 0 }
  #nextJob = 1
  #broken: KvError | undefined
  #onReady: (() => void) | undefined

  /** Loads a model. @throws KvError KV_MODEL_INVALID. */
  static async load(source: ModelSource): Promise<EngineThread> {
    const workerData: EngineStart = { source }
    const worker = startThread(new URL("./thread.js", import.meta.url), workerData)
    const first = await new Promise<EngineEvent>((resolve, reject) => {
      worker.once("message", resolve)
      worker.once("error", reject)
    })
    if (first.type === "loaded") return new EngineThread(worker, first.model)
    await worker.terminate()
    throw first.type === "broken" ? kvErrorFromRecord(first.error, "KV_MODEL_INVALID") : new Error(first.type)
  }

  private constructor(worker: Worker, model: ModelInfo) {
    this.#worker = worker
    this.model = model
    worker.on("message", (event: EngineEvent) => this.#hear(event))
    worker.on("error", (error) => this.#end(`its thread failed: ${error.message}`))
    worker.on("exit", () => this.#end("its thread ended"))
  }

  /** What this engine has computed so far. */
  get counters(): Readonly<EngineCounters> {
    return this.#counters
  }

  /** Gives the engine its cache; needed once, before the first job. */
  async open(layout: KvLayout, spans: readonly MemorySpan[]): Promise<void> {
    const ready = new Promise<void>((resolve) => {
      this.#onReady = resolve
    })
    this.#tell({ type: "open", layout, spans: spans.map((span) => span.share()) })
    await ready
    if (this.#broken !== undefined) throw this.#broken
  }

  /** Computes a prompt. @throws KvError KV_CANCELLED, or why the engine failed. */
  async prefill(prefill: PrefillJob, signal?: AbortSignal): Promise<Prefilled> {
    const event = await this.#run(
      (job) => ({ type: "prefill", job, prefill }),
      () => {},
      signal,
    )
    if (event.type !== "prefilled") throw new Error(`a prefill ended with ${event.type}`)
    return event
  }

  /** Continues an answer; `onToken` hears each token, an end-of-text token excepted. */
  async decode(
    decode: DecodeJob,
    onToken: (index: number, token: number) => void,
    signal?: AbortSignal,
  ): Promise<Decoded> {
    const event = await this.#run((job) => ({ type: "decode", job, decode }), onToken, signal)
    if (event.type !== "decoded") throw new Error(`a decode ended with ${event.type}`)
    return event
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#broken === undefined) {
      const exited = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()))
      this.#tell({ type: "stop" })
      await exited
    }
  }

  #run(
    command: (job: number) => EngineCommand,
    onToken: Waiting["onToken"],
    signal: AbortSignal | undefined,
  ): Promise<EngineEvent> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken)
    if (signal?.aborted === true) return Promise.reject(cancelled())
    const job = this.#nextJob++
    return new Promise<EngineEvent>((resolve, reject) => {
      const cancel = (): void => this.#tell({ type: "cancel", job })
      const settle = (): void => signal?.removeEventListener("abort", cancel)
      signal?.addEventListener("abort", cancel, { once: true })
      this.#waiting.set(job, {
        onToken,
        resolve: (event) => {
          settle()
          resolve(event)
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      })
      this.#tell(command(job))
    })
  }

  #tell(command: EngineCommand): void {
    this.#worker.postMessage(command)
  }

  #hear(event: EngineEvent): void {
    if (event.type === "ready") this.#onReady?.()
    else if (event.type === "broken") {
      this.#broken = kvErrorFromRecord(event.error, "KV_INTERNAL")
      this.#onReady?.()
    } else if (event.type === "token") this.#waiting.get(event.job)?.onToken(event.index, event.token)
    else if (event.type !== "loaded") this.#settle(event)
  }

  #settle(event: Extract<EngineEvent, { job: number }>): void {
    const waiting = this.#waiting.get(event.job)
    this.#waiting.delete(event.job)
    if ("counters" in event) this.#counters = event.counters
    if (event.type === "failed") waiting?.reject(kvErrorFromRecord(event.error, "KV_INTERNAL"))
    else if (event.type === "cancelled") waiting?.reject(cancelled())
    else waiting?.resolve(event)
  }

  #end(why: string): void {
    this.#broken ??= new KvError("KV_WORKER_LOST", {
      what: "the engine is gone",
      why,
      next: "restart the worker",
    })
    for (const waiting of this.#waiting.values()) waiting.reject(this.#broken)
    this.#waiting.clear()
    this.#onReady?.()
  }
}

const cancelled = (): KvError => new KvError("KV_CANCELLED", { what: "the request was cancelled" })
