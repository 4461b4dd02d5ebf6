/** The cache of a small model, for the examples: 8 layers, blocks of 16 tokens. */
import { wholeModelLayout } from "kvferry"

export const layout = wholeModelLayout(
  { layers: 8, kvHeads: 4, headDim: 64, elementBytes: 2 },
  { blocks: 64 },
)

/** Fills blocks of every layer with bytes that say where they are. */
export function fill(cache, blocks) {
  for (let layer = 0; layer < layout.shape.layers; layer++) {
    blocks.forEach((block, position) => {
      const bytes = cache.view(layer, block)
      for (let i = 0; i < bytes.length; i++) bytes[i] = layer * 31 + position * 7 + i
    })
  }
}

/** True when two blocks of two caches hold the same bytes in every layer. */
export function same(one, oneBlock, other, otherBlock) {
  for (let layer = 0; layer < layout.shape.layers; layer++) {
    if (Buffer.compare(one.view(layer, oneBlock), other.view(layer, otherBlock)) !== 0) return false
  }
  return true
}
