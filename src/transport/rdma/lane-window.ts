import { assert } from "../../errors/assert.ts"
import type { Deal } from "./deal.ts"

/** How much a lane may have outstanding, and how its completions come. */
export interface WindowLimits {
  /** Local rail of the lane: its bytes are counted there. */
  readonly rail: number
  /** Requests that may be outstanding: at most the depth of the send queue. */
  readonly depth: number
  /** Bytes that may be outstanding. One request more is let in when fewer are. */
  readonly bytesMax: number
  /** True: requests complete in the order of posting, and one success proves all before it (RC). False: each proves itself (SRD). */
  readonly ordered: boolean
}

/**
 * The requests that one lane has outstanding, of all moves that use it. It belongs to the thread of the lane's rail.
 *
 * Requests are numbered from 0 upwards. Only a success proves: what an error, a flush or silence leaves
 * over goes back to its deal, once the lane is quiet. Nothing here allocates after construction.
 */
export class LaneWindow {
  readonly #limits: WindowLimits
  readonly #mask: number
  readonly #unit: Uint32Array
  readonly #bytes: Uint32Array
  readonly #deals: (Deal | undefined)[]
  /** The oldest request that is not proven, and the next to be posted. */
  #tail = 0
  #head = 0
  #unproven = 0
  #bytesOutstanding = 0

  constructor(limits: WindowLimits) {
    const { depth, bytesMax } = limits
    assert(
      Number.isSafeInteger(depth) && depth >= 2 && depth <= 2 ** 20,
      "a window holds 2 to 1,048,576 requests",
    )
    assert(bytesMax >= 1, "a window holds a byte")
    const slots = 2 ** Math.ceil(Math.log2(depth))
    this.#limits = limits
    this.#mask = slots - 1
    this.#unit = new Uint32Array(slots)
    this.#bytes = new Uint32Array(slots)
    this.#deals = new Array<Deal | undefined>(slots).fill(undefined)
  }

  /** Requests that may be posted now. */
  get room(): number {
    if (this.#bytesOutstanding >= this.#limits.bytesMax) return 0
    // What lies between tail and head holds its slot, also where a later one was proven first.
    return this.#limits.depth - this.#span
  }

  /** Bytes that may be posted now; the last request of a run may go over. */
  get bytesRoom(): number {
    return Math.max(0, this.#limits.bytesMax - this.#bytesOutstanding)
  }

  /** Requests that are posted and not proven. */
  get outstanding(): number {
    return this.#unproven
  }

  get bytesOutstanding(): number {
    return this.#bytesOutstanding
  }

  /** Notes the next request, just before it is posted. Returns its number. Ask `room` first. */
  push(deal: Deal, unit: number, bytes: number): number {
    assert(this.#span < this.#limits.depth, "a lane is never posted more than its depth")
    const request = this.#head
    const slot = request & this.#mask
    this.#unit[slot] = unit
    this.#bytes[slot] = bytes
    this.#deals[slot] = deal
    this.#head = request + 1
    this.#unproven += 1
    this.#bytesOutstanding += bytes
    return request
  }

  /**
   * A request has succeeded: it is proven, and where the lane keeps order, so are all before it.
   * @returns false for a number that is not outstanding: a late word from before the lane was lost.
   */
  succeeded(request: number): boolean {
    if (!this.#isOutstanding(request)) return false
    if (this.#limits.ordered) this.#prove(this.#tail, request - this.#tail + 1)
    else this.#prove(request, 1)
    this.#skipProven()
    return true
  }

  /**
   * A request has failed, and no longer touches memory: it goes back to its deal. What was posted before it stays as it is.
   * @returns false for a number that is not outstanding.
   */
  failed(request: number): boolean {
    if (!this.#isOutstanding(request)) return false
    const slot = request & this.#mask
    this.#deals[slot]!.giveBack(this.#unit[slot]!, 1)
    this.#deals[slot] = undefined
    this.#unproven -= 1
    this.#bytesOutstanding -= this.#bytes[slot]!
    this.#skipProven()
    return true
  }

  /**
   * Gives everything that is not proven back to its deals. Call it when the lane is quiet: flushed, or its queue destroyed.
   * @returns how many requests that were.
   */
  lost(): number {
    const given = this.#unproven
    let [deal, first, count] = [undefined as Deal | undefined, 0, 0]
    for (let request = this.#tail; request !== this.#head; request = request + 1) {
      const slot = request & this.#mask
      const owner = this.#deals[slot]
      if (owner === undefined) continue
      const unit = this.#unit[slot]!
      this.#deals[slot] = undefined
      if (owner === deal && unit === first + count) {
        count += 1
        continue
      }
      deal?.giveBack(first, count)
      deal = owner
      first = unit
      count = 1
    }
    deal?.giveBack(first, count)
    this.#tail = this.#head
    this.#unproven = 0
    this.#bytesOutstanding = 0
    return given
  }

  /** The deal and the unit of a request that has failed, for the words of its error. */
  unitOf(
    request: number,
  ): { readonly deal: Deal; readonly unit: number; readonly bytes: number } | undefined {
    if (!this.#isOutstanding(request)) return undefined
    const slot = request & this.#mask
    return { deal: this.#deals[slot]!, unit: this.#unit[slot]!, bytes: this.#bytes[slot]! }
  }

  get #span(): number {
    return this.#head - this.#tail
  }

  #isOutstanding(request: number): boolean {
    const known = request >= this.#tail && request < this.#head
    return known && this.#deals[request & this.#mask] !== undefined
  }

  #prove(from: number, requests: number): void {
    let [deal, units, bytes] = [undefined as Deal | undefined, 0, 0]
    for (let i = 0; i < requests; i++) {
      const slot = (from + i) & this.#mask
      const owner = this.#deals[slot]
      if (owner === undefined) continue
      this.#deals[slot] = undefined
      if (owner !== deal) {
        deal?.proved(this.#limits.rail, units, bytes)
        deal = owner
        units = 0
        bytes = 0
      }
      units += 1
      bytes += this.#bytes[slot]!
      this.#unproven -= 1
      this.#bytesOutstanding -= this.#bytes[slot]!
    }
    deal?.proved(this.#limits.rail, units, bytes)
  }

  #skipProven(): void {
    while (this.#tail !== this.#head && this.#deals[this.#tail & this.#mask] === undefined)
      this.#tail = this.#tail + 1
  }
}
