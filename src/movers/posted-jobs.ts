import { KvError } from "../errors/kv-error.ts"
import { toSharedMillis } from "../os/clock.ts"
import { cancelled, closedWhileUnderWay, pastDeadline, ThreadFailure } from "./copy-errors.ts"
import { type JobRing, postedJobsMax, type RingJob, type StopReason, stopReason } from "./job-ring.ts"

/** Node fires a timer of more milliseconds at once; a thread that takes a chunk looks at the deadline anyway. */
const timerMillisMax = 2 ** 31 - 1

/** How one post may end early. */
export interface PostEnds {
  readonly deadline: number
  readonly signal?: AbortSignal
}

/** A job in the ring. */
export interface Posting {
  /** Resolves when every chunk was done; rejects when no thread touches the job any more. */
  readonly ended: Promise<void>
  /** Ends it early, unless it has ended. */
  stop(): void
}

interface Posted {
  resolve(): void
  reject(error: unknown): void
  forget(): void
}

/** The jobs that are in the ring, as the main thread knows them: who waits for each, and what may end it early. */
export class PostedJobs {
  readonly #ring: JobRing
  readonly #hold: (busy: boolean) => void
  readonly #jobs = new Map<number, Posted>()
  #refusal: KvError | undefined
  #died = false

  /** @param hold told when there is something under way, and when there is no more. */
  constructor(ring: JobRing, hold: (busy: boolean) => void) {
    this.#ring = ring
    this.#hold = hold
  }

  /** @throws KvError what the crew was closed with. */
  check(): void {
    if (this.#refusal !== undefined) throw this.#refusal
  }

  /** From now on nothing is taken; the first reason counts. `died` when it is also why what is under way ends. */
  refuse(error: KvError, died = false): void {
    if (this.#refusal !== undefined) return
    this.#refusal = error
    this.#died = died
  }

  /** Puts a job into the ring. @throws KvError KV_LIMIT. */
  post(job: Omit<RingJob, "deadlineMillis">, { deadline, signal }: PostEnds): Posting {
    this.check()
    const position = this.#ring.tail & (postedJobsMax - 1)
    if (this.#jobs.has(position)) {
      throw new KvError("KV_LIMIT", {
        what: `${postedJobsMax} copies are under way`,
        next: "wait for some of them, or post fewer at a time",
      })
    }
    let posted: Posted | undefined
    const stop = (reason: StopReason): void => {
      // Its slot may be another job's by now.
      if (this.#jobs.get(position) !== posted) return
      if (this.#ring.withdraw(position, reason)) this.#ended(position)
    }
    const ended = new Promise<void>((resolve, reject) => {
      const onAbort = (): void => stop(stopReason.cancelled)
      signal?.addEventListener("abort", onAbort, { once: true })
      const left = Math.max(0, Math.ceil(deadline - performance.now()))
      // A thread notices too, but all may be at work on other jobs.
      const timer = left > timerMillisMax ? undefined : setTimeout(() => stop(stopReason.deadline), left)
      const forget = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener("abort", onAbort)
      }
      posted = { resolve, reject, forget }
      this.#jobs.set(position, posted)
      if (this.#jobs.size === 1) this.#hold(true)
      this.#ring.publish({ ...job, deadlineMillis: toSharedMillis(deadline) })
    })
    return { ended, stop: () => stop(stopReason.cancelled) }
  }

  /** Settles the jobs that threads have finished. */
  drain(): void {
    this.#ring.drain((position) => this.#ended(position))
  }

  /** Stops everything that is under way. */
  withdrawAll(): void {
    for (const position of [...this.#jobs.keys()]) {
      if (this.#ring.withdraw(position, stopReason.closed)) this.#ended(position)
    }
  }

  /** For when the threads are gone: what is left has ended with them. */
  endAll(): void {
    this.drain()
    for (const position of [...this.#jobs.keys()]) {
      this.#ring.stop(position, stopReason.closed)
      this.#ended(position)
    }
  }

  #ended(position: number): void {
    const job = this.#jobs.get(position)
    if (job === undefined) return
    this.#jobs.delete(position)
    if (this.#jobs.size === 0) this.#hold(false)
    job.forget()
    const { reason, errno, entry } = this.#ring.outcome(position)
    if (reason === stopReason.none) job.resolve()
    else if (reason === stopReason.failed) job.reject(new ThreadFailure(errno, entry))
    else if (reason === stopReason.deadline) job.reject(pastDeadline())
    else if (reason === stopReason.closed) job.reject(this.#died ? this.#refusal : closedWhileUnderWay())
    else job.reject(cancelled())
  }
}
