import { KvError } from "../../errors/kv-error.ts"
import type { CallWatch } from "../../os/call-watch.ts"
import type { CompletionSink, LaneWork, RailPort } from "./driver.ts"

/** What a rail's thread asks of its fabric, and how long that may take before it is taken to be endless, in milliseconds. */
interface WatchedCall {
  readonly words: string
  readonly millisMax: number
  /** The same while something is due: a deadline has passed, or something is to be ended. */
  readonly dueMillisMax: number
}

// A fabric's calls do not wait. What makes or ends objects of the kernel's is slower, and many end at once at the end.
const [moving, making, closing] = [
  { millisMax: 5000, dueMillisMax: 2000 },
  { millisMax: 10_000, dueMillisMax: 10_000 },
  { millisMax: 30_000, dueMillisMax: 30_000 },
]

/** By their places, as a `CallWatch` counts them. */
const calls: readonly WatchedCall[] = [
  { words: "looking for completions", ...moving },
  { words: "posting requests", ...moving },
  { words: "asking for a wake-up", ...moving },
  { words: "ending a lane", ...moving },
  { words: "taking a lane over", ...making },
  { words: "letting a lane go", ...making },
  { words: "closing its lanes", ...closing },
]
const [reaping, posting, arming, ending, attaching, detaching, disposing] = [0, 1, 2, 3, 4, 5, 6]

/** The call that a watch speaks of. */
export const watchedCall = (index: number): WatchedCall => calls[index]!

/**
 * A port whose calls can be seen from outside. A library that never comes back cannot be ended; it can be noticed.
 *
 * @throws KvError KV_TRANSPORT_UNAVAILABLE from a call that came back when its rail had been given up.
 */
export class WatchedPort implements RailPort {
  readonly descriptors: readonly number[]
  readonly #port: RailPort
  readonly #watch: CallWatch

  constructor(port: RailPort, watch: CallWatch) {
    this.#port = port
    this.#watch = watch
    this.descriptors = port.descriptors
  }

  get idleMillisMax(): number {
    return this.#port.idleMillisMax
  }

  room(lane: number): number {
    return this.#port.room(lane)
  }

  attach(lane: number, handle: unknown): void {
    this.#inside(attaching, () => this.#port.attach(lane, handle))
  }

  detach(lane: number): void {
    this.#inside(detaching, () => this.#port.detach(lane))
  }

  post(lane: number, work: LaneWork, first: number, count: number, seq: number, token: number): number {
    return this.#inside(posting, () => this.#port.post(lane, work, first, count, seq, token))
  }

  probe(lane: number): void {
    this.#inside(posting, () => this.#port.probe(lane))
  }

  stop(lane: number): void {
    this.#inside(ending, () => this.#port.stop(lane))
  }

  reap(sink: CompletionSink): number {
    return this.#inside(reaping, () => this.#port.reap(sink))
  }

  arm(): boolean {
    return this.#inside(arming, () => this.#port.arm())
  }

  heard(which: number, sink: CompletionSink): void {
    this.#inside(reaping, () => this.#port.heard(which, sink))
  }

  [Symbol.dispose](): void {
    this.#watch.inside(disposing, () => this.#port[Symbol.dispose]())
  }

  #inside<T>(index: number, call: () => T): T {
    const result = this.#watch.inside(index, call)
    if (!this.#watch.abandoned) return result
    throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: `a rail came back from ${watchedCall(index).words} when it had been given up`,
    })
  }
}
