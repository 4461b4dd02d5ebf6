import type { KvCache } from "../../kv/kv-cache.ts"
import { kvStrides } from "../../kv/kv-layout.ts"

/** The engine's way into a paged cache: stores rows of keys and values, and gathers whole blocks. */
export interface PagedRows {
  /** Numbers in one block of one layer. */
  readonly blockFloats: number
  /** Distances inside a block, in numbers. */
  readonly plane: number
  readonly head: number
  readonly token: number
  /**
   * Stores `rows` tokens from position `first` on. Keys and values are `[rows][heads * headDim]`
   * at the indices `keys` and `values` of `floats`.
   */
  store(
    layer: number,
    blocks: Uint32Array,
    first: number,
    rows: number,
    floats: Float32Array,
    keys: number,
    values: number,
  ): void
  /** Copies the first `count` blocks of a sequence one behind the other to index `target` of `floats`. */
  gather(layer: number, blocks: Uint32Array, count: number, floats: Float32Array, target: number): void
}

/** Prepares access to `cache`. */
export function openPagedRows({ layout, layers }: KvCache): PagedRows {
  const strides = kvStrides(layout)
  const [blockFloats, plane, head, token] = [
    strides.block / 4,
    strides.plane / 4,
    strides.head / 4,
    strides.token / 4,
  ]
  const { blockTokens, heads } = layout
  const { headDim } = layout.shape
  // One view per block, made when first needed: a decode step then allocates nothing.
  const views = layers.map(() => new Array<Float32Array | undefined>(layout.blocks))
  const viewOf = (layer: number, block: number): Float32Array => {
    const known = views[layer]![block]
    if (known !== undefined) return known
    const view = layers[layer]!.subarray(block * blockFloats, (block + 1) * blockFloats)
    views[layer]![block] = view
    return view
  }
  return {
    blockFloats,
    plane,
    head,
    token,
    store: (layer, blocks, first, rows, floats, keys, values) => {
      const region = layers[layer]!
      let source = 0
      for (let row = 0; row < rows; row++) {
        const position = first + row
        const inBlock = position % blockTokens
        const start = blocks[(position - inBlock) / blockTokens]! * blockFloats + inBlock * token
        for (let index = 0; index < heads; index++) {
          const target = start + index * head
          for (let number = 0; number < headDim; number++, source++) {
            region[target + number] = floats[keys + source]!
            region[target + plane + number] = floats[values + source]!
          }
        }
      }
    },
    gather: (layer, blocks, count, floats, target) => {
      for (let index = 0; index < count; index++) {
        floats.set(viewOf(layer, blocks[index]!), target + index * blockFloats)
      }
    },
  }
}
