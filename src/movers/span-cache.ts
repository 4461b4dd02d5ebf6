import type { MemorySpan, SharedSpan } from "../memory/host-memory.ts"
import { adoptSpan } from "../os/memory-span.ts"

/** Spans that one thread remembers; past that it starts anew. A model has a region for each layer. */
const spansMax = 4096

/**
 * The spans of others as one thread looks at them, each adopted once: making a view costs microseconds.
 *
 * An owner that has shared a span leaves its addresses mapped for ever, so what is remembered here is never reused.
 */
export class SpanCache {
  readonly #spans = new Map<number, MemorySpan>()

  at(address: number, byteLength: number): MemorySpan {
    const known = this.#spans.get(address)
    if (known !== undefined && known.byteLength === byteLength) return known
    if (this.#spans.size >= spansMax) this.#spans.clear()
    const shared: SharedSpan = { address, byteLength }
    const span = adoptSpan(shared)
    this.#spans.set(address, span)
    return span
  }
}
