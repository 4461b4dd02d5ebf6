import { sharedMillis } from "../os/clock.ts"
import { type ArenaViews, viewArena } from "../os/shared-arena.ts"
import { CopyBlock } from "./copy-block.ts"
import { HashBlock } from "./hash-block.ts"
import { JobRing, jobKind, stopReason } from "./job-ring.ts"
import { SpanCache } from "./span-cache.ts"
import type { CrewThreadStart } from "./thread-messages.ts"

/**
 * What a thread of a crew does: it takes chunks off the ring, copies and hashes, and parks when there is nothing.
 *
 * It never returns to the event loop, so a busy main thread stalls nothing here. Its wait is `Atomics.wait`, which
 * ends with the process: a parked thread keeps no exit waiting.
 */
export class CrewLoop {
  readonly #ring: JobRing
  readonly #start: CrewThreadStart
  readonly #over: () => void
  readonly #spans = new SpanCache()
  readonly #segments: ArenaViews[] = []

  /** @param over wakes the main thread up: a job is over. */
  constructor(start: CrewThreadStart, over: () => void) {
    this.#ring = new JobRing(start.ring)
    this.#start = start
    this.#over = over
  }

  /** Works until the ring is closed. */
  run(): void {
    const claimed = { position: 0, chunk: 0 }
    for (;;) {
      const seen = this.#ring.rings
      if (this.#ring.closed) return
      if (this.#ring.claim(claimed)) this.#work(claimed.position, claimed.chunk)
      else if (!this.#spin(seen)) this.#ring.park(seen)
    }
  }

  #work(position: number, chunk: number): void {
    const job = this.#ring.job(position)
    const stopped = (): boolean => {
      if (sharedMillis() >= job.deadlineMillis) this.#ring.stop(position, stopReason.deadline)
      return this.#ring.stopped(position)
    }
    if (!stopped()) {
      const views = this.#segment(job.segment)
      if (job.kind === jobKind.hash) new HashBlock(views, job.block, this.#spans).run(chunk)
      else {
        const { thread } = this.#start
        const ran = new CopyBlock(views, job.block).run(chunk, thread, this.#spans, stopped)
        if (typeof ran === "object") this.#ring.stop(position, stopReason.failed, ran.errno, ran.entry)
      }
    }
    if (this.#ring.finish(position)) this.#over()
  }

  #segment(segment: number): ArenaViews {
    this.#segments[segment] ??= viewArena(this.#ring.segment(segment))
    return this.#segments[segment]
  }

  /** Looks for the bell for a while. Returns true when it was rung. */
  #spin(seen: number): boolean {
    const { spinMicros, spinnersMax } = this.#start
    if (spinMicros === 0 || !this.#ring.beginSpin(spinnersMax)) return false
    const end = performance.now() + spinMicros / 1000
    let rung = false
    do rung = this.#ring.rings !== seen
    while (!rung && performance.now() < end)
    this.#ring.endSpin()
    return rung
  }
}
