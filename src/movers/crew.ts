import type { MemorySpan } from "../memory/host-memory.ts"
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
   * @throws KvError KV_LIMIT, KV_OS; KV_TRANSPORT_UNAVAILABLE when the crew's threads are gone.
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
  /** The mappings in which the runs of this process lie. Short runs are copied quicker when they are known. */
  readonly spans?: readonly MemorySpan[]
  /** Runs of target memory to hash once they were copied. */
  readonly hashes?: CopyHashes
}

/**
 * Parts of the target that are hashed by the thread that copied them, while they are in its cache.
 *
 * Unit i lies inside run `run[i]`. `run` ascends, and so do the places of the units of one run; units do not overlap.
 */
export interface CopyHashes {
  readonly count: number
  readonly run: Uint32Array
  /** Which of the copy's `spans` unit i lies in. */
  readonly span: Uint32Array
  /** Bytes from that span's start. */
  readonly offset: Float64Array
  readonly length: Uint32Array
  readonly seed: BigUint64Array
}

/** A copy that is ready to be posted: one post at a time. */
export interface CopyJob extends AsyncDisposable {
  /**
   * Copies all runs: on the calling thread when they are few and small, else on the crew's threads.
   *
   * When it rejects, no byte of the job is touched any more.
   * @throws KvError KV_DEADLINE, KV_CANCELLED, KV_PEER_LOST (the other process is gone), KV_OS (with the errno's name
   * in `why`), KV_LIMIT, KV_USAGE (posted while under way), KV_TRANSPORT_UNAVAILABLE (a thread died).
   */
  post(options: { readonly deadline: number; readonly signal?: AbortSignal }): Promise<CopyDone>
  /** Stops a post that is under way, which then rejects with KV_CANCELLED. Does nothing when none is. */
  stop(): void

  /** Bytes that the post under way has copied so far, or the last one in all. */
  landed(): number
}

/** What a finished copy did. */
export interface CopyDone {
  /** Bytes by thread: entry 0 is the calling thread, entry i is thread i of the crew. */
  readonly bytesByThread: readonly number[]
  /** One hash for each unit that was asked for, else empty. */
  readonly hashes: BigUint64Array
}
