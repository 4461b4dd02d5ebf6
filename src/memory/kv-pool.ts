import type { KvCache } from "../kv/kv-cache.ts"
import { type KvLayout, layerBytes } from "../kv/kv-layout.ts"
import { BlockAllocator } from "./block-allocator.ts"
import type { HostMapping, HostMemory, MemorySpan } from "./host-memory.ts"

/**
 * A paged KV cache in host memory: one mapping per layer, and the allocator of its blocks.
 *
 * It owns the memory. Close it last: after the engine, the agent and the fabrics that use it.
 */
export class KvPool implements Disposable {
  readonly layout: KvLayout
  /** `spans[l]` is the region of layer l. */
  readonly spans: readonly HostMapping[]
  readonly allocator: BlockAllocator

  /** @throws KvError KV_OS when the machine has not that much memory. */
  constructor(layout: KvLayout, memory: HostMemory) {
    this.layout = layout
    const spans: HostMapping[] = []
    try {
      for (let layer = 0; layer < layout.shape.layers; layer++) {
        spans.push(memory.map(layerBytes(layout), `layer-${layer}`))
      }
    } catch (thrown) {
      for (const span of spans) span[Symbol.dispose]()
      throw thrown
    }
    this.spans = spans
    this.allocator = new BlockAllocator(layout.blocks)
  }

  [Symbol.dispose](): void {
    for (const span of this.spans) span[Symbol.dispose]()
  }
}

/** The arithmetic's view of a pool's spans. @throws KvError KV_LIMIT when a layer is larger than 2 GiB. */
export function cacheOf(layout: KvLayout, spans: readonly MemorySpan[]): KvCache {
  const layers = spans.map((span) => {
    const view = span.view(0, span.byteLength)
    return new Float32Array(view.buffer, view.byteOffset, view.byteLength / 4)
  })
  return { layout, layers }
}
