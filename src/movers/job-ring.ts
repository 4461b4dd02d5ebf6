import type { SharedSpan } from "../memory/host-memory.ts"

/** Jobs that can be posted and not finished at one time; a power of two. */
export const postedJobsMax = 4096
/** Arena segments that threads can be told of. */
export const segmentsMax = 256

/** What a thread must do with a job's block. */
export const jobKind = { copy: 0, hash: 1 } as const
/** Why a job stopped early. */
export const stopReason = { none: 0, cancelled: 1, deadline: 2, failed: 3, closed: 4 } as const
export type StopReason = (typeof stopReason)[keyof typeof stopReason]

/** A job as the threads find it in the ring. */
export interface RingJob {
  readonly kind: (typeof jobKind)[keyof typeof jobKind]
  readonly chunks: number
  readonly segment: number
  /** Byte in the segment at which the job's block starts. */
  readonly block: number
  /** Moment of the clock that all threads share, in milliseconds. */
  readonly deadlineMillis: number
}

// Words of the header, each on a cache line of its own.
const [atBell, atHead, atTail, atStop, atParked, atSpinning, atDoneTail, atRung] = [
  0, 16, 32, 48, 64, 80, 96, 112,
]
const headerWords = 128
const doneWords = postedJobsMax
const slotWords = 32
const [inNext, inFinished, inChunks, inStop, inErrno, inEntry, inKind, inSegment, inBlock, inDeadline] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 10,
]
const slotsAt = headerWords + doneWords
const segmentsAt = slotsAt + postedJobsMax * slotWords
const ringWords = segmentsAt + segmentsMax * 4
/** A counter that no claim reaches: the job has no chunk to give. */
const nothingToClaim = 2 ** 30

/**
 * The ring through which the main thread posts jobs and the threads take chunks of them, in one shared buffer.
 *
 * A job's position in the ring counts up for ever; its slot is the position modulo the ring's size. Threads serve the
 * oldest job that has a chunk left. A slot is written only while it gives out no chunk, and read only by a thread that
 * has claimed one: so a thread that overslept a whole turn of the ring at worst serves the slot's next job.
 */
export class JobRing {
  readonly buffer: SharedArrayBuffer
  readonly words: Int32Array
  readonly #floats: Float64Array
  #doneHead = 0

  constructor(buffer = new SharedArrayBuffer(ringWords * 4)) {
    this.buffer = buffer
    this.words = new Int32Array(buffer)
    this.#floats = new Float64Array(buffer)
  }

  // The side that posts.

  /** The position that the next job gets. */
  get tail(): number {
    return Atomics.load(this.words, atTail)
  }

  setSegment(segment: number, { address, byteLength }: SharedSpan): void {
    this.#floats[segmentsAt / 2 + segment * 2] = address
    this.#floats[segmentsAt / 2 + segment * 2 + 1] = byteLength
  }

  /** Puts a job at the tail and wakes the threads that it can use. Its slot must be free. */
  publish(job: RingJob): void {
    const { words } = this
    const tail = this.tail
    const slot = slotOf(tail)
    Atomics.store(words, slot + inNext, nothingToClaim)
    words[slot + inFinished] = 0
    words[slot + inChunks] = job.chunks
    words[slot + inStop] = stopReason.none
    words[slot + inKind] = job.kind
    words[slot + inSegment] = job.segment
    words[slot + inBlock] = job.block
    this.#floats[(slot + inDeadline) / 2] = job.deadlineMillis
    Atomics.store(words, slot + inNext, 0)
    Atomics.store(words, atTail, (tail + 1) | 0)
    this.#ring(job.chunks)
  }

  /**
   * Takes back the chunks of a job that no thread has claimed, and tells those that have to stop.
   * Returns true when none had: the job is over.
   */
  withdraw(position: number, reason: StopReason): boolean {
    const slot = slotOf(position)
    Atomics.compareExchange(this.words, slot + inStop, stopReason.none, reason)
    const chunks = this.words[slot + inChunks]!
    const left = chunks - Math.min(chunks, Atomics.exchange(this.words, slot + inNext, nothingToClaim))
    return left > 0 && Atomics.add(this.words, slot + inFinished, left) + left === chunks
  }

  /** Calls `ended` for each job whose last chunk a thread has finished since the last call. */
  drain(ended: (position: number) => void): void {
    Atomics.store(this.words, atRung, 0)
    for (;;) {
      const at = headerWords + (this.#doneHead % doneWords)
      const found = Atomics.exchange(this.words, at, 0)
      if (found === 0) return
      this.#doneHead += 1
      ended(found - 1)
    }
  }

  /** Why a job that is over stopped, and for a failure its errno and entry. */
  outcome(position: number): { readonly reason: StopReason; readonly errno: number; readonly entry: number } {
    const slot = slotOf(position)
    const reason = Atomics.load(this.words, slot + inStop) as StopReason
    return { reason, errno: this.words[slot + inErrno]!, entry: this.words[slot + inEntry]! }
  }

  /** Ends all threads. */
  close(): void {
    Atomics.store(this.words, atStop, 1)
    this.#ring(nothingToClaim)
  }

  #ring(threads: number): void {
    Atomics.add(this.words, atBell, 1)
    // Waking nobody is a system call that a spinning thread makes needless.
    if (Atomics.load(this.words, atParked) > 0) Atomics.notify(this.words, atBell, threads)
  }

  // The side that works.

  get closed(): boolean {
    return Atomics.load(this.words, atStop) !== 0
  }

  segment(segment: number): SharedSpan {
    const at = segmentsAt / 2 + segment * 2
    return { address: this.#floats[at]!, byteLength: this.#floats[at + 1]! }
  }

  /** How often the bell was rung. */
  get rings(): number {
    return Atomics.load(this.words, atBell)
  }

  /** Claims a chunk of the oldest job that has one. Returns false when there is none. */
  claim(into: { position: number; chunk: number }): boolean {
    const { words } = this
    for (;;) {
      const head = Atomics.load(words, atHead)
      if (head === Atomics.load(words, atTail)) return false
      const slot = slotOf(head)
      const chunk = Atomics.add(words, slot + inNext, 1)
      if (chunk < Atomics.load(words, slot + inChunks)) {
        into.position = head & (postedJobsMax - 1)
        into.chunk = chunk
        return true
      }
      Atomics.compareExchange(words, atHead, head, (head + 1) | 0)
    }
  }

  /** The job of which a chunk was claimed. */
  job(position: number): RingJob {
    const slot = slotOf(position)
    return {
      kind: this.words[slot + inKind] as RingJob["kind"],
      chunks: this.words[slot + inChunks]!,
      segment: this.words[slot + inSegment]!,
      block: this.words[slot + inBlock]!,
      deadlineMillis: this.#floats[(slot + inDeadline) / 2]!,
    }
  }

  stopped(position: number): boolean {
    return Atomics.load(this.words, slotOf(position) + inStop) !== stopReason.none
  }

  /** Stops a job; the first reason counts. */
  stop(position: number, reason: StopReason, errno = 0, entry = 0): void {
    const slot = slotOf(position)
    if (Atomics.compareExchange(this.words, slot + inStop, stopReason.none, reason) !== stopReason.none)
      return
    this.words[slot + inErrno] = errno
    this.words[slot + inEntry] = entry
  }

  /** Counts a claimed chunk as finished. Returns true when the main thread must be woken up. */
  finish(position: number): boolean {
    const { words } = this
    const slot = slotOf(position)
    const chunks = words[slot + inChunks]!
    if (Atomics.add(words, slot + inFinished, 1) + 1 !== chunks) return false
    const at = Atomics.add(words, atDoneTail, 1) & (doneWords - 1)
    Atomics.store(words, headerWords + at, (position & (postedJobsMax - 1)) + 1)
    return Atomics.exchange(words, atRung, 1) === 0
  }

  /** Becomes a spinner when fewer than `spinnersMax` spin. */
  beginSpin(spinnersMax: number): boolean {
    if (Atomics.add(this.words, atSpinning, 1) < spinnersMax) return true
    Atomics.sub(this.words, atSpinning, 1)
    return false
  }

  endSpin(): void {
    Atomics.sub(this.words, atSpinning, 1)
  }

  /** Sleeps until the bell is rung, unless it was since `seen`. */
  park(seen: number): void {
    Atomics.add(this.words, atParked, 1)
    Atomics.wait(this.words, atBell, seen)
    Atomics.sub(this.words, atParked, 1)
  }
}

const slotOf = (position: number): number => slotsAt + (position & (postedJobsMax - 1)) * slotWords
