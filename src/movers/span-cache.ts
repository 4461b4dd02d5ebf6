import type { MemorySpan } from "../memory/host-memory.ts"
import type { AddressedBytes } from "../os/copy-lists.ts"
import { adoptSpan, viewBytesMax } from "../os/memory-span.ts"

/** Spans that one thread remembers; past that it starts anew. A model has a region for each layer. */
const spansMax = 4096

/** A span of another thread, as this one looks at it. */
export interface CachedSpan extends AddressedBytes {
  readonly span: MemorySpan
}

/**
 * The spans of others as one thread looks at them, each adopted once: making a view costs up to a millisecond.
 *
 * What is remembered may outlive its mapping. It is looked at only for a job, and whoever prepared that keeps the
 * memory mapped.
 */
export class SpanCache {
  readonly #spans = new Map<number, CachedSpan>()

  at(address: number, byteLength: number): CachedSpan {
    const known = this.#spans.get(address)
    if (known !== undefined && known.span.byteLength === byteLength) return known
    if (this.#spans.size >= spansMax) this.#spans.clear()
    const span = adoptSpan({ address, byteLength })
    const bytes = byteLength > viewBytesMax ? undefined : span.view(0, byteLength)
    const cached = { span, start: address, end: address + byteLength, bytes }
    this.#spans.set(address, cached)
    return cached
  }
}
