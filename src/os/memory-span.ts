import koffi from "koffi"
import { KvError } from "../errors/kv-error.ts"
import type { MemorySpan, SharedSpan } from "../memory/host-memory.ts"

/** V8 of Node 20 aborts the process on an external array buffer of more than 4 GiB; half of that is our bound. */
export const viewBytesMax = 2 ** 31

/**
 * The span behind every mapping: bounds are checked here, once, before an address is made.
 *
 * A view is cached whole (or in 2 GiB parts): making one costs milliseconds for a large pool.
 */
export class Span implements MemorySpan {
  readonly byteLength: number
  readonly #address: number
  readonly #views = new Map<number, ArrayBuffer>()
  #live = true
  #viewed = false

  constructor(address: number, byteLength: number) {
    this.#address = address
    this.byteLength = byteLength
  }

  /** True once someone may hold a view, here or in another thread: the pages can then no longer be unmapped. */
  get viewed(): boolean {
    return this.#viewed
  }

  addressOf(offset: number, length: number): number {
    const inside =
      Number.isSafeInteger(offset) &&
      Number.isSafeInteger(length) &&
      offset >= 0 &&
      length >= 0 &&
      offset + length <= this.byteLength
    if (!this.#live || !inside) throw this.#outside(offset, length)
    return this.#address + offset
  }

  view(offset: number, length: number): Uint8Array<ArrayBuffer> {
    this.addressOf(offset, length)
    if (length > viewBytesMax) {
      throw new KvError("KV_LIMIT", {
        what: `a view of ${length} bytes was asked for`,
        why: `one view is at most ${viewBytesMax} bytes (2 GiB): a larger one aborts Node 20`,
        next: "take several views, or make the pool's layers smaller (fewer blocks)",
      })
    }
    this.#viewed = true
    // Whole 1 GiB steps: any wanted range of up to 1 GiB lies in one of these overlapping 2 GiB windows.
    const window = Math.floor(offset / 2 ** 30) * 2 ** 30
    const end = Math.min(this.byteLength, window + viewBytesMax)
    if (offset + length <= end)
      return new Uint8Array(this.#window(window, end - window), offset - window, length)
    return new Uint8Array(koffi.view(this.#address + offset, length))
  }

  share(): SharedSpan {
    const address = this.addressOf(0, this.byteLength)
    this.#viewed = true
    return { address, byteLength: this.byteLength }
  }

  /** After this every address and view is refused. The memory itself is its owner's. */
  retire(): void {
    this.#live = false
  }

  #window(start: number, length: number): ArrayBuffer {
    let buffer = this.#views.get(start)
    if (buffer === undefined) {
      buffer = koffi.view(this.#address + start, length)
      this.#views.set(start, buffer)
    }
    return buffer
  }

  #outside(offset: number, length: number): KvError {
    return new KvError("KV_REGION_BOUNDS", {
      what: `${length} bytes at offset ${offset} of a span of ${this.byteLength} bytes were asked for`,
      why: this.#live ? "they do not lie inside it" : "the span is closed",
      next: "check the block ids against the pool's size",
    })
  }
}

/** The span that another thread of this process shared; that thread's owner must outlive it. */
export function adoptSpan(shared: SharedSpan): MemorySpan {
  return new Span(shared.address, shared.byteLength)
}
