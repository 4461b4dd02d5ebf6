import type { KvLayout } from "./kv-layout.ts"

/**
 * The memory of a paged cache as arithmetic sees it: one view per layer, each a whole region.
 *
 * The views do not own the memory. Whoever made them keeps it mapped for as long as they are used.
 */
export interface KvCache {
  readonly layout: KvLayout
  /** `layers[i]` is the region of layer i, `layerBytes(layout) / 4` numbers of fp32. */
  readonly layers: readonly Float32Array[]
}

/** One sequence in a paged cache: which blocks it has, and how many of its tokens are stored. */
export interface KvSequence {
  /** The block at position i holds tokens `[i * blockTokens, (i + 1) * blockTokens)`. */
  readonly blocks: Uint32Array
  /** Tokens whose keys and values are stored. An engine moves it forward. */
  tokens: number
}
