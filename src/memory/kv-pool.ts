import type { KvCache } from "../kv/kv-cache.ts"
import { type KvLayout, layerBytes } from "../kv/kv-layout.ts"
import { BlockAllocator } from "./block-allocator.ts"
import type { HostMapping, HostMemory, MappingOptions, MemorySpan } from "./host-memory.ts"

/**
 * A paged KV cache in host memory: one mapping per layer, one for the stamps of the blocks, and their allocator.
 *
 * It owns the memory. Close it last: after the engine, the agent and the fabrics that use it.
 */
export class KvPool implements Disposable {
  readonly layout: KvLayout
  /** `spans[l]` is the region of layer l. */
  readonly spans: readonly HostMapping[]
  /** One 32-bit stamp for each block: it moves when the block is given back. */
  readonly epochs: HostMapping
  readonly allocator: BlockAllocator

  /**
   * Takes the page faults of all its memory, unless the options say otherwise: 0.3 s per GB, here and not in a transfer.
   * @throws KvError KV_OS when the machine has not that much memory; KV_USAGE for a NUMA node that is not there.
   */
  constructor(layout: KvLayout, memory: HostMemory, options: MappingOptions = { populate: true }) {
    this.layout = layout
    const spans: HostMapping[] = []
    try {
      for (let layer = 0; layer < layout.shape.layers; layer++) {
        spans.push(memory.map(layerBytes(layout), `layer-${layer}`, options))
      }
      spans.push(memory.map(layout.blocks * epochBytes, "epochs", { populate: true }))
    } catch (thrown) {
      for (const span of spans) span[Symbol.dispose]()
      throw thrown
    }
    this.epochs = spans.pop()!
    this.spans = spans
    this.allocator = new BlockAllocator(layout.blocks, stampsOf(this.epochs, layout.blocks))
  }

  [Symbol.dispose](): void {
    for (const span of this.spans) span[Symbol.dispose]()
    this.epochs[Symbol.dispose]()
  }
}

/** Bytes of one block's stamp. */
export const epochBytes = 4

/** The stamps that a span holds, as numbers: block b's is `[b]`. */
export function stampsOf(span: MemorySpan, blocks: number): Int32Array {
  const view = span.view(0, blocks * epochBytes)
  return new Int32Array(view.buffer, view.byteOffset, blocks)
}

/** The arithmetic's view of a pool's spans. @throws KvError KV_LIMIT when a layer is larger than 2 GiB. */
export function cacheOf(layout: KvLayout, spans: readonly MemorySpan[]): KvCache {
  const layers = spans.map((span) => {
    const view = span.view(0, span.byteLength)
    return new Float32Array(view.buffer, view.byteOffset, view.byteLength / 4)
  })
  return { layout, layers }
}
