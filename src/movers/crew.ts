import type { Hasher } from "../verify/hasher.ts"

/**
 * Threads beside the main thread that copy and hash: they serve every fabric whose bytes a processor moves, and the
 * proofs of all of them.
 *
 * Work is posted through a ring in shared memory and no message is sent for a piece. A thread without work parks.
 */
export interface Crew extends Hasher, AsyncDisposable {
  readonly threads: number
  /**
   * Turns runs of bytes into a job that can be posted many times.
   *
   * Every address was made by a span that stays mapped until the job is disposed of.
   * @throws KvError KV_LIMIT, KV_OS.
   */
  prepareCopy(runs: CopyRuns): CopyJob
}

/** Runs of bytes, as columns of `count` entries; they are copied in any order, so targets must not overlap. */
export interface CopyRuns {
  readonly count: number
  /** Sum of all lengths. */
  readonly bytes: number
  readonly sourceAddress: Float64Array
  readonly targetAddress: Float64Array
  readonly length: Uint32Array
  /** The other process, when one side's addresses are its own: moved by the kernel (`process_vm_readv`, `_writev`). */
  readonly remote?: { readonly pid: number; readonly side: "source" | "target" }
  /** Runs of target memory to hash once they were copied; unit i lies inside run `run[i]`, and `run` ascends. */
  readonly hashes?: {
    readonly count: number
    readonly run: Uint32Array
    readonly address: Float64Array
    readonly length: Uint32Array
    readonly seed: BigUint64Array
  }
}

/** A copy that is ready to be posted: one post at a time. */
export interface CopyJob extends AsyncDisposable {
  /**
   * Copies all runs: on the calling thread when they are few and small, else on the crew's threads.
   *
   * When it rejects, no byte of the job is touched any more.
   * @throws KvError KV_DEADLINE, KV_CANCELLED, KV_PEER_LOST (the other process is gone), KV_OS.
   */
  post(options: { readonly deadline: number; readonly signal?: AbortSignal }): Promise<CopyDone>
}

/** What a finished copy did. */
export interface CopyDone {
  /** Bytes by thread; the calling thread counts as thread 0. */
  readonly bytesByThread: readonly number[]
  /** One hash for each unit that was asked for, else empty. */
  readonly hashes: BigUint64Array
}
