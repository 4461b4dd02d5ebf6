import { assert } from "../../errors/assert.ts"

/** A run of units that one lane carries unless another must: `start` up to, not including, `end`. */
export interface Share {
  readonly start: number
  readonly end: number
  /** False for a lane that is known to be lost before the move begins. */
  readonly alive?: boolean
}

/** What a deal is laid out from. Everything in it survives a message between threads. */
export interface DealMemory {
  readonly units: number
  readonly lanes: number
  readonly rails: number
  readonly memory: SharedArrayBuffer
}

/**
 * How a post stands.
 *
 * `moving`: units are left, or outstanding. `done`: every unit is proven. `stopped`: told to stop, and nothing is outstanding any
 * more. `stranded`: no lane is left, units are, and nothing is outstanding. That is no end: a lane may come back (`laneBack`), or
 * somebody calls `stop`.
 */
export type DealState = "moving" | "done" | "stopped" | "stranded"

// Words of the header; each lane has three behind it: cursor, end, standing.
const proven = 0
const outstanding = 1
const aliveLanes = 2
const stopAsked = 3
const endClaimed = 4
const givenBack = 5
const retried = 6
const present = 7
const abandoned = 8
const headerWords = 9
const laneWords = 3
const [cursorWord, endWord, standingWord] = [0, 1, 2]
/** Standings of a lane. Nobody takes from a lane's share before it has begun: its thread may only be waking up. */
const [waiting, begun, lost] = [0, 1, 2]

/** Bytes for a deal of that size, in whole 8-byte words. */
function layout(units: number, lanes: number, rails: number): { rails: number; back: number; bytes: number } {
  const words = headerWords + lanes * laneWords
  const railsAt = Math.ceil(words / 2) * 8
  const back = railsAt + rails * 8
  return { rails: railsAt, back, bytes: back + Math.ceil(units / 8) * 8 }
}

/**
 * Memory for the deals of one prepared move: each post of it begins with `beginDeal`.
 * @param rails local rails, for the count of bytes that each has moved.
 */
export function dealMemory(units: number, lanes: number, rails: number): DealMemory {
  assert(units >= 0 && units < 2 ** 31, "units are counted in 31 bits")
  assert(lanes >= 1 && rails >= 1, "a deal has a lane and a rail")
  return { units, lanes, rails, memory: new SharedArrayBuffer(layout(units, lanes, rails).bytes) }
}

/** Threads that have entered the last post and not left it. While there is one, the next post needs memory of its own. */
export function threadsIn({ memory }: DealMemory): number {
  return Atomics.load(new Int32Array(memory, 0, headerWords), present)
}

/**
 * A rail is gone, and nobody will ever say what became of the units that it took: the post stops, and the other rails leave it
 * as soon as they have nothing of it under way themselves.
 */
export function abandonDeal({ memory }: DealMemory): void {
  const words = new Int32Array(memory, 0, headerWords)
  Atomics.store(words, abandoned, 1)
  Atomics.store(words, stopAsked, 1)
}

/**
 * Begins a post: all units are undealt again. No thread may be in the one before it (`threadsIn`).
 * @param shares one for each lane, side by side from unit 0 to the last, in the order of the lanes.
 */
export function beginDeal({ units, lanes, memory }: DealMemory, shares: readonly Share[]): void {
  assert(shares.length === lanes, "each lane has a share, which may be empty")
  const words = new Int32Array(memory)
  assert(words[present] === 0, "no thread is left in the last post")
  words.fill(0)
  let at = 0
  shares.forEach(({ start, end, alive = true }, lane) => {
    assert(start === at && end >= start, "shares lie side by side")
    at = end
    const word = headerWords + lane * laneWords
    words[word + cursorWord] = start
    words[word + endWord] = end
    words[word + standingWord] = alive ? waiting : lost
    if (alive) words[aliveLanes]! += 1
  })
  assert(at === units, "the shares cover every unit")
}

/**
 * Deals the units of one post over lanes, from any number of threads: each makes its own `Deal` over the same memory.
 *
 * A lane takes from its own share first, then what other lanes gave back, then from the share with most left. A unit is at one
 * lane at a time, and it is proven once. Nothing here waits, allocates or asks the time.
 *
 * Ask `claimEnd` after each `take` that gave nothing, and after `proved`, `giveBack`, `laneLost` and `stop`: any of them can be
 * the last event of the post.
 */
export class Deal {
  /** First unit of the run that `take` returned the length of. */
  first = 0
  readonly #length: Uint32Array
  readonly #words: Int32Array
  readonly #back: Uint8Array
  readonly #railBytes: Float64Array
  readonly #units: number
  readonly #lanes: number
  #scan = 0

  /** @param length bytes of each unit. */
  constructor({ units, lanes, rails, memory }: DealMemory, length: Uint32Array) {
    assert(length.length === units, "each unit has a length")
    const at = layout(units, lanes, rails)
    this.#length = length
    this.#words = new Int32Array(memory, 0, headerWords + lanes * laneWords)
    this.#railBytes = new Float64Array(memory, at.rails, rails)
    this.#back = new Uint8Array(memory, at.back, units)
    this.#units = units
    this.#lanes = lanes
  }

  /** This thread takes part: before its first `take`. */
  enter(): void {
    Atomics.add(this.#words, present, 1)
  }

  /** This thread has heard of the end, and calls nothing of this post any more. */
  leave(): void {
    Atomics.sub(this.#words, present, 1)
  }

  /**
   * Takes the next run of units for a lane, and returns how many: `first` up to `first + n - 1`. 0: there is nothing now.
   *
   * @param unitsMax most units, so that the lane's queue is never overrun.
   * @param bytesMax most bytes; one unit is given even if it is longer.
   */
  take(lane: number, unitsMax: number, bytesMax: number): number {
    if (unitsMax < 1) return 0
    const standing = headerWords + lane * laneWords + standingWord
    if (Atomics.load(this.#words, standing) === lost) return 0
    // Counted before the look at the stop: whoever asks for it and then sees 0 knows that nobody takes any more.
    Atomics.add(this.#words, outstanding, unitsMax)
    let taken = 0
    if (Atomics.load(this.#words, stopAsked) === 0) {
      taken = this.#fromShare(lane, unitsMax, bytesMax)
      if (taken === 0) taken = this.#fromGivenBack(unitsMax, bytesMax)
      if (taken === 0) taken = this.#fromOthers(lane, unitsMax, bytesMax)
      if (taken > 0) Atomics.compareExchange(this.#words, standing, waiting, begun)
    }
    if (taken < unitsMax) Atomics.sub(this.#words, outstanding, unitsMax - taken)
    return taken
  }

  /** True when a lane may find something to take: ask after a wake-up, and before going to sleep. */
  get wanted(): boolean {
    if (Atomics.load(this.#words, stopAsked) !== 0) return false
    if (Atomics.load(this.#words, givenBack) > 0) return true
    for (let lane = 0; lane < this.#lanes; lane++) if (this.#left(lane) > 0) return true
    return false
  }

  /**
   * Units whose completion came, or is implied by a later one.
   *
   * @param rail the local rail they came over. Only that rail's thread may name it: its count of bytes has one writer.
   */
  proved(rail: number, units: number, bytes: number): void {
    this.#railBytes[rail]! += bytes
    Atomics.add(this.#words, proven, units)
    Atomics.sub(this.#words, outstanding, units)
  }

  /**
   * A run of units that a lane took and cannot prove. The lane must be quiet: none of them may still touch memory.
   *
   * They count as retries, and are there for any lane to take, also for the one that gave them back.
   */
  giveBack(first: number, units: number): void {
    if (units === 0) return
    Atomics.add(this.#words, retried, units)
    for (let unit = first; unit < first + units; unit++) Atomics.store(this.#back, unit, 1)
    Atomics.add(this.#words, givenBack, units)
    Atomics.sub(this.#words, outstanding, units)
  }

  /** Takes a lane out of this deal; its share is open to the others. What it still has outstanding must be given back or proved. */
  laneLost(lane: number): void {
    const standing = headerWords + lane * laneWords + standingWord
    if (Atomics.exchange(this.#words, standing, lost) !== lost) Atomics.sub(this.#words, aliveLanes, 1)
  }

  /** A lost lane that was mended takes units again. */
  laneBack(lane: number): void {
    const standing = headerWords + lane * laneWords + standingWord
    if (Atomics.compareExchange(this.#words, standing, lost, begun) === lost)
      Atomics.add(this.#words, aliveLanes, 1)
  }

  /** Asks for the end: nothing new is dealt from now on. The state is `stopped` when what is outstanding has ended. */
  stop(): void {
    Atomics.store(this.#words, stopAsked, 1)
  }

  /** True once somebody has asked for the end. */
  get stopping(): boolean {
    return Atomics.load(this.#words, stopAsked) !== 0
  }

  /** True when a rail is gone with units that it took: `outstanding` will not come to 0. */
  get abandoned(): boolean {
    return Atomics.load(this.#words, abandoned) !== 0
  }

  get state(): DealState {
    if (Atomics.load(this.#words, proven) === this.#units) return "done"
    // In this order: a lane is lost first and gives back then, so that no lane and nothing under way is the end.
    const stopped = Atomics.load(this.#words, stopAsked) !== 0
    const stranded = Atomics.load(this.#words, aliveLanes) === 0
    if ((stopped || stranded) && Atomics.load(this.#words, outstanding) === 0) {
      // The last completions may have come between the first look and this one.
      if (Atomics.load(this.#words, proven) === this.#units) return "done"
      return stopped ? "stopped" : "stranded"
    }
    return "moving"
  }

  /** True for exactly one caller, once the state is `done` or `stopped`: that one reports the end. */
  claimEnd(): boolean {
    const { state } = this
    return (
      (state === "done" || state === "stopped") &&
      Atomics.compareExchange(this.#words, endClaimed, 0, 1) === 0
    )
  }

  /** Units taken and neither proven nor given back. While a thread takes, it may be more for a moment. */
  get outstanding(): number {
    return Atomics.load(this.#words, outstanding)
  }

  get provenUnits(): number {
    return Atomics.load(this.#words, proven)
  }

  /** Units that had to be taken again. */
  get retries(): number {
    return Atomics.load(this.#words, retried)
  }

  /** Proven bytes by local rail. */
  bytesByRail(rail: number): number {
    return this.#railBytes[rail]!
  }

  /** Proven bytes of all rails. */
  get landed(): number {
    let sum = 0
    for (let rail = 0; rail < this.#railBytes.length; rail++) sum += this.#railBytes[rail]!
    return sum
  }

  #left(lane: number): number {
    const at = headerWords + lane * laneWords
    return this.#words[at + endWord]! - Atomics.load(this.#words, at + cursorWord)
  }

  #fromShare(lane: number, unitsMax: number, bytesMax: number): number {
    const cursor = headerWords + lane * laneWords + cursorWord
    const end = this.#words[cursor - cursorWord + endWord]!
    for (;;) {
      const start = Atomics.load(this.#words, cursor)
      if (start >= end) return 0
      const count = this.#fitting(start, Math.min(end, start + unitsMax), bytesMax)
      if (Atomics.compareExchange(this.#words, cursor, start, start + count) !== start) continue
      this.first = start
      return count
    }
  }

  #fromOthers(lane: number, unitsMax: number, bytesMax: number): number {
    for (;;) {
      let [victim, most] = [-1, 0]
      for (let other = 0; other < this.#lanes; other++) {
        if (other === lane) continue
        const left = this.#left(other)
        if (left <= most) continue
        if (Atomics.load(this.#words, headerWords + other * laneWords + standingWord) === waiting) continue
        victim = other
        most = left
      }
      if (victim < 0) return 0
      // Never more than half: both lanes come to their ends together.
      const taken = this.#fromShare(victim, Math.min(unitsMax, Math.ceil(most / 2)), bytesMax)
      if (taken > 0) return taken
    }
  }

  #fromGivenBack(unitsMax: number, bytesMax: number): number {
    if (Atomics.load(this.#words, givenBack) <= 0) return 0
    for (let looked = 0; looked < this.#units; looked++) {
      const unit = this.#scan
      this.#scan = unit + 1 === this.#units ? 0 : unit + 1
      if (Atomics.compareExchange(this.#back, unit, 1, 0) !== 1) continue
      let count = 1
      let bytes = this.#length[unit]!
      while (count < unitsMax && unit + count < this.#units) {
        bytes += this.#length[unit + count]!
        if (bytes > bytesMax || Atomics.compareExchange(this.#back, unit + count, 1, 0) !== 1) break
        count += 1
      }
      Atomics.sub(this.#words, givenBack, count)
      this.first = unit
      return count
    }
    return 0
  }

  /** How many units from `start` fit: at least one. */
  #fitting(start: number, end: number, bytesMax: number): number {
    let bytes = this.#length[start]!
    let at = start + 1
    while (at < end) {
      bytes += this.#length[at]!
      if (bytes > bytesMax) break
      at += 1
    }
    return at - start
  }
}
