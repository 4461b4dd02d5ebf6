import type { WorkFailure } from "../rdma/driver.ts"

/** A queue pair as its rail's thread gets it. */
export interface VerbsLaneHandle {
  /** `struct ibv_qp *`. */
  readonly queuePair: number
  readonly sendDepth: number
  readonly receiveDepth: number
}

/** Places of the send queue that units leave free, for notices and answers. */
const reserved = 32

/** What a peer may owe itself: more notices without an answer than receives are posted cannot arrive. */
export class VerbsLane {
  readonly number: number
  readonly queuePair: number
  readonly receives: number
  /** In its error state, or on the way there. */
  failed = false
  ended = false
  failure: WorkFailure | undefined
  readonly #depth: number
  readonly #mask: number
  /** For each place of the send queue, the number that its work was posted under. */
  readonly #seqs: Float64Array
  /** Work requests posted, and known to have left the queue. */
  #posted: number
  #gone: number
  readonly #owed: number[] = []

  /** @param firstPlace what the places of the send queue are counted from. */
  constructor(number: number, { queuePair, sendDepth, receiveDepth }: VerbsLaneHandle, firstPlace = 0) {
    this.#posted = firstPlace
    this.#gone = firstPlace
    this.number = number
    this.queuePair = queuePair
    this.receives = receiveDepth
    this.#depth = sendDepth
    const slots = 2 ** Math.ceil(Math.log2(sendDepth))
    this.#mask = slots - 1
    this.#seqs = new Float64Array(slots)
  }

  get room(): number {
    return this.failed ? 0 : Math.max(0, this.#depth - reserved - (this.#posted - this.#gone))
  }

  get hasSlot(): boolean {
    return this.#posted - this.#gone < this.#depth
  }

  /** True when nothing is left in the send queue. */
  get quiet(): boolean {
    return this.#posted === this.#gone
  }

  /** Takes the next place; returns its number, 32 bits of it. */
  next(seq: number): number {
    this.#seqs[this.#posted & this.#mask] = seq
    return this.#posted++ >>> 0
  }

  /** The last `count` places were not used after all. */
  takeBack(count: number): void {
    this.#posted -= count
  }

  /** A completion names a place: it and all before it are free again. Returns the number that its work was posted under. */
  completed(place: number): number {
    // The low 32 bits of a count that may have gone past them.
    const ahead = (place - (this.#gone >>> 0)) >>> 0
    const seq = this.#seqs[(this.#gone + ahead) & this.#mask]!
    this.#gone += ahead + 1
    return seq
  }

  /** Notes a notice that must be answered. False when the peer sends more than it may: the oldest are dropped. */
  owe(token: number): boolean {
    if (this.#owed.length >= this.receives) return false
    this.#owed.push(token)
    return true
  }

  get owed(): number | undefined {
    return this.#owed[0]
  }

  paid(): void {
    this.#owed.shift()
  }
}
