import { KvError } from "../errors/kv-error.ts"
import { CopyBlock } from "./copy-block.ts"
import { cancelledBefore, pastDeadline, remoteFailure, ThreadFailure } from "./copy-errors.ts"
import type { CopyDone, CopyJob, CopyRuns } from "./crew.ts"
import type { JobBlock, JobMemory } from "./job-memory.ts"
import { jobKind } from "./job-ring.ts"
import type { PostEnds, PostedJobs } from "./posted-jobs.ts"
import type { SpanCache } from "./span-cache.ts"
import { copyBlockBytes, writeCopyBlock } from "./write-copy-block.ts"

/** A copy that lies in the arena, ready for the threads or, when it is small, for the calling one. */
export class ThreadCopyJob implements CopyJob {
  readonly #runs: Pick<CopyRuns, "remote" | "bytes">
  readonly #memory: JobMemory
  readonly #posted: PostedJobs
  readonly #block: JobBlock
  readonly #copy: CopyBlock
  readonly #chunks: number
  readonly #spans: SpanCache | undefined
  #running: { readonly done: Promise<unknown>; stop(): void } | undefined
  #disposed = false

  /** @param inline what the calling thread looks at memory through, when it does the copy itself. */
  constructor(memory: JobMemory, posted: PostedJobs, threads: number, runs: CopyRuns, inline?: SpanCache) {
    this.#runs =
      runs.remote === undefined ? { bytes: runs.bytes } : { bytes: runs.bytes, remote: runs.remote }
    this.#memory = memory
    this.#posted = posted
    this.#spans = inline
    this.#block = memory.take(copyBlockBytes(runs, threads))
    try {
      this.#chunks = writeCopyBlock(this.#block.views, this.#block.block, runs, threads)
    } catch (thrown) {
      memory.give(this.#block)
      throw thrown
    }
    this.#copy = new CopyBlock(this.#block.views, this.#block.block)
  }

  post(options: PostEnds): Promise<CopyDone> {
    try {
      this.#posted.check()
      if (this.#running !== undefined || this.#disposed) throw misused(this.#disposed)
      if (options.signal?.aborted === true) throw cancelledBefore()
      if (performance.now() >= options.deadline) throw pastDeadline()
      this.#copy.reset()
      if (this.#spans !== undefined || this.#chunks === 0) return Promise.resolve(this.#runHere(options))
      return this.#runThere(options)
    } catch (thrown) {
      return Promise.reject(thrown)
    }
  }

  stop(): void {
    this.#running?.stop()
  }

  landed(): number {
    return this.#disposed ? 0 : this.#copy.bytesByThread().reduce((sum, bytes) => sum + bytes, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return
    this.#disposed = true
    await this.#running?.done.catch(() => {})
    this.#memory.give(this.#block)
  }

  #runHere({ deadline }: PostEnds): CopyDone {
    const stopped = (): boolean => performance.now() >= deadline
    for (let chunk = 0; chunk < this.#chunks; chunk++) {
      if (chunk > 0 && stopped()) throw pastDeadline()
      const ran = this.#copy.run(chunk, 0, this.#spans!, stopped)
      if (ran === false) throw pastDeadline()
      if (ran !== true) throw remoteFailure(ran, this.#runs)
    }
    return this.#done()
  }

  #runThere(options: PostEnds): Promise<CopyDone> {
    const { segment, block } = this.#block
    const job = { kind: jobKind.copy, chunks: this.#chunks, segment, block }
    const posting = this.#posted.post(job, options)
    const done = posting.ended.then(
      () => {
        this.#running = undefined
        return this.#done()
      },
      (thrown: unknown) => {
        this.#running = undefined
        throw thrown instanceof ThreadFailure ? remoteFailure(thrown, this.#runs) : thrown
      },
    )
    this.#running = { done, stop: posting.stop }
    return done
  }

  #done(): CopyDone {
    return { bytesByThread: this.#copy.bytesByThread(), hashes: this.#copy.hashes() }
  }
}

function misused(disposed: boolean): KvError {
  return new KvError("KV_USAGE", {
    what: disposed
      ? "a prepared copy was posted after it was disposed of"
      : "a prepared copy was posted while its last post was under way",
    next: "wait for the last one, or prepare another",
  })
}
