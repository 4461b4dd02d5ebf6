import { availableParallelism } from "node:os"
import type { Worker } from "node:worker_threads"
import { KvError } from "../errors/kv-error.ts"
import { startThread } from "../os/worker-thread.ts"
import { allUnits, fingerprintUnits, type StoredSequence } from "../verify/fingerprint.ts"
import type { CopyJob, CopyRuns, Crew } from "./crew.ts"
import { HashBlock, hashBlockBytes, unitBytes, writeHashBlock } from "./hash-block.ts"
import { JobMemory } from "./job-memory.ts"
import { JobRing, jobKind } from "./job-ring.ts"
import { PostedJobs } from "./posted-jobs.ts"
import { SpanCache } from "./span-cache.ts"
import { ThreadCopyJob } from "./thread-copy-job.ts"
import type { CrewThreadMessage, CrewThreadStart } from "./thread-messages.ts"

/** Threads that one crew can have. */
const threadsMax = 64

/** Hashing costs several times what copying costs: a job done by the calling thread is so many times smaller. */
const inlineHashShare = 8

/** How a crew works. */
export interface CrewOptions {
  /** Threads beside the calling one: 1 to 64. */
  readonly threads: number
  /** How long a thread without work looks for more before it parks; 0 parks at once. 20 unless told. */
  readonly spinMicros?: number
  /** Jobs of at most so many bytes are done by the thread that posts them. 2 MiB unless told. */
  readonly inlineBytesMax?: number
  /** And of at most so many pieces. 1,024 unless told. */
  readonly inlinePiecesMax?: number
}

/** Threads of a crew when nobody says how many: more than two share one memory bus for nothing. */
export const defaultMovers = (): number => Math.max(1, Math.min(2, availableParallelism() - 1))

/** Starts a crew. @throws KvError KV_USAGE, KV_TRANSPORT_UNAVAILABLE when a thread does not start. */
export async function openCrew(options: CrewOptions): Promise<Crew> {
  const { threads } = options
  if (!Number.isSafeInteger(threads) || threads < 1 || threads > threadsMax) {
    throw new KvError("KV_USAGE", {
      what: `a crew of ${threads} threads was asked for`,
      next: `use 1 to ${threadsMax}; a machine gains nothing from more than it has cores`,
    })
  }
  const crew = new ThreadCrew(options)
  try {
    await crew.started
    return crew
  } catch (thrown) {
    await crew[Symbol.asyncDispose]()
    throw thrown
  }
}

class ThreadCrew implements Crew {
  readonly threads: number
  readonly started: Promise<void>
  readonly #ring = new JobRing()
  readonly #memory = new JobMemory((segment, span) => this.#ring.setSegment(segment, span))
  readonly #posted: PostedJobs
  readonly #spans = new SpanCache()
  readonly #inlineBytesMax: number
  readonly #inlinePiecesMax: number
  readonly #workers: Worker[] = []
  readonly #exits: Promise<void>[] = []
  #closing: Promise<void> | undefined

  constructor(options: CrewOptions) {
    const { threads, spinMicros = 20, inlineBytesMax = 2 * 2 ** 20, inlinePiecesMax = 1024 } = options
    this.threads = threads
    this.#inlineBytesMax = inlineBytesMax
    this.#inlinePiecesMax = inlinePiecesMax
    this.#posted = new PostedJobs(this.#ring, (busy) => this.#hold(busy))
    // One core is left for whoever the work is done for.
    const spinnersMax = Math.max(0, availableParallelism() - 1)
    const ready: Promise<void>[] = []
    for (let thread = 1; thread <= threads; thread++) {
      ready.push(this.#start({ ring: this.#ring.buffer, thread, spinMicros, spinnersMax }))
    }
    this.started = Promise.all(ready).then(() => this.#hold(false))
  }

  prepareCopy(runs: CopyRuns): CopyJob {
    this.#posted.check()
    const inline = runs.bytes <= this.#inlineBytesMax && runs.count <= this.#inlinePiecesMax
    return new ThreadCopyJob(this.#memory, this.#posted, this.threads, runs, inline ? this.#spans : undefined)
  }

  async hash(
    sequence: StoredSequence,
    unitTokens: number,
    units: Uint32Array = allUnits(sequence, unitTokens),
  ): Promise<BigUint64Array> {
    this.#posted.check()
    const bytes = units.length * unitBytes(sequence.layout, unitTokens)
    if (bytes <= this.#inlineBytesMax / inlineHashShare) return fingerprintUnits(sequence, unitTokens, units)
    const block = this.#memory.take(hashBlockBytes(sequence, units.length))
    try {
      const chunks = writeHashBlock(block.views, block.block, sequence, unitTokens, units)
      await this.#posted.post(
        { kind: jobKind.hash, chunks, ...block },
        { deadline: Number.POSITIVE_INFINITY },
      ).ended
      return new HashBlock(block.views, block.block, this.#spans).hashes()
    } finally {
      this.#memory.give(block)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #start(start: CrewThreadStart): Promise<void> {
    const worker = startThread(new URL("./crew-thread.js", import.meta.url), start)
    this.#workers.push(worker)
    this.#exits.push(new Promise((resolve) => worker.once("exit", () => resolve())))
    return new Promise((resolve, reject) => {
      const died = (why: string): void => {
        const error = new KvError("KV_TRANSPORT_UNAVAILABLE", {
          what: `thread ${start.thread} of ${this.threads} that copy ended`,
          why,
          next: "open the crew again; if it ends again, report what it says",
        })
        reject(error)
        this.#broken(error)
      }
      worker.on("message", (message: CrewThreadMessage) => {
        if (message === "ready") resolve()
        else this.#posted.drain()
      })
      worker.on("error", (error) => died(error.message))
      worker.on("exit", () => died("its thread exited"))
    })
  }

  /** Keeps the process alive while work is under way, and only then. */
  #hold(busy: boolean): void {
    for (const worker of this.#workers) {
      if (busy) worker.ref()
      else worker.unref()
    }
  }

  /** A thread died: nobody knows what it had begun, so all end before anybody hears of it. */
  #broken(error: KvError): void {
    if (this.#closing !== undefined) return
    this.#posted.refuse(error, true)
    void this[Symbol.asyncDispose]()
  }

  async #close(): Promise<void> {
    const closed = new KvError("KV_USAGE", { what: "the crew of copying threads is closed" })
    this.#posted.refuse(closed)
    this.#hold(true)
    this.#posted.withdrawAll()
    this.#ring.close()
    await Promise.all(this.#exits)
    this.#posted.endAll()
    this.#memory[Symbol.dispose]()
  }
}
