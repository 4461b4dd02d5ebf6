import { KvError } from "../errors/kv-error.ts"
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
  readonly spans: readonly MemorySpan[]
  /** One 32-bit stamp for each block: it moves when the block is given back. */
  readonly epochs: HostMapping
  readonly allocator: BlockAllocator
  /** What this pool mapped, and gives back. */
  readonly #mappings: readonly HostMapping[]

  /**
   * Over the regions that are given, one for each layer, which stay the caller's; else over memory that it maps itself.
   *
   * Takes the page faults of all its memory, unless the options say otherwise: 0.3 s per GB, here and not in a transfer.
   * @throws KvError KV_OS when the machine has not that much memory; KV_USAGE for a NUMA node that is not there.
   */
  constructor(
    layout: KvLayout,
    memory: HostMemory,
    options: MappingOptions & { readonly regions?: readonly MemorySpan[] } = { populate: true },
  ) {
    const { regions, ...mapping } = options
    checkRegions(layout, regions)
    this.layout = layout
    const mappings: HostMapping[] = []
    try {
      for (let layer = 0; regions === undefined && layer < layout.shape.layers; layer++) {
        mappings.push(memory.map(layerBytes(layout), `layer-${layer}`, mapping))
      }
      mappings.push(memory.map(layout.blocks * epochBytes, "epochs", { populate: true }))
    } catch (thrown) {
      for (const span of mappings) span[Symbol.dispose]()
      throw thrown
    }
    this.#mappings = mappings
    this.epochs = mappings.at(-1)!
    this.spans = regions ?? mappings.slice(0, -1)
    this.allocator = new BlockAllocator(layout.blocks, stampsOf(this.epochs, layout.blocks))
  }

  [Symbol.dispose](): void {
    for (const mapping of this.#mappings) mapping[Symbol.dispose]()
  }
}

/** @throws KvError KV_USAGE when memory of the caller's does not fit the layout. */
function checkRegions(layout: KvLayout, regions: readonly MemorySpan[] | undefined): void {
  if (regions === undefined) return
  const wanted = layerBytes(layout)
  const { layers } = layout.shape
  const odd = regions.findIndex(({ byteLength }) => byteLength !== wanted)
  if (regions.length === layers && odd < 0) return
  throw new KvError("KV_USAGE", {
    what:
      regions.length !== layers
        ? `${regions.length} regions were given for ${layers} layers`
        : `region ${odd} has ${regions[odd]!.byteLength} bytes, a layer of this layout ${wanted}`,
    next: "give one region for each layer, of blocks times block bytes",
  })
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
