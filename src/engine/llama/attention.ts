import { scoreWidth } from "../kernels/attention.ts"
import type { Kernels } from "../kernels/kernels.ts"
import { panelWidth } from "../kernels/product.ts"
import { rowProduct } from "./linear.ts"
import type { PagedRows } from "./paged-rows.ts"

/** Where attention finds its numbers: addresses in bytes, sizes in numbers. */
export interface AttentionScratch {
  /** `[rows][scoreRow]`: the scores of one head. */
  readonly scores: number
  readonly scoreRow: number
  /** Gathered blocks of one layer. */
  readonly blocks: number
}

/** The parts of a model and a cache that attention depends on. */
export interface AttentionShape {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly blockTokens: number
  readonly paged: PagedRows
}

/** Numbers in one row of scores for `contextTokens` tokens, with room for the kernels' whole vectors. */
export function scoreRowFloats(contextTokens: number, blockTokens: number): number {
  return Math.ceil(contextTokens / blockTokens) * blockTokens + scoreWidth
}

/**
 * Causal attention of `rows` queries at positions `first`, `first + 1`, … over gathered blocks.
 *
 * `query` and `out` are addresses of `[rows][heads][headDim]`; queries are scaled already, `out` starts zeroed.
 * Each query meets the keys in the order of their positions and none behind its own, so what lies in the rest
 * of a block, or comes later in the same chunk, cannot touch its bits.
 */
export function attend(
  kernels: Kernels,
  floats: Float32Array,
  shape: AttentionShape,
  scratch: AttentionScratch,
  query: number,
  first: number,
  rows: number,
  out: number,
): void {
  const { heads, kvHeads, headDim, paged } = shape
  const shared = heads / kvHeads
  for (let head = 0; head < heads; head++) {
    const keys = scratch.blocks + ((head - (head % shared)) / shared) * paged.head * 4
    const offset = head * headDim * 4
    for (let row = 0; row < rows; row++) {
      weigh(
        kernels,
        floats,
        shape,
        scratch,
        query + offset + row * heads * headDim * 4,
        keys,
        first + row + 1,
        row,
      )
    }
    sumValues(kernels, shape, scratch, keys + paged.plane * 4, first, rows, out + offset)
  }
}

/** Fills row `row` of the scores with the attention weights of one query over the first `tokens` tokens. */
function weigh(
  kernels: Kernels,
  floats: Float32Array,
  shape: AttentionShape,
  scratch: AttentionScratch,
  query: number,
  keys: number,
  tokens: number,
  row: number,
): void {
  const { headDim, blockTokens, paged } = shape
  const place = scratch.scores + row * scratch.scoreRow * 4
  const blocks = Math.ceil(tokens / blockTokens)
  const groups = Math.ceil(blockTokens / scoreWidth)
  const block = paged.blockFloats * 4
  kernels.scores(query, headDim / 4, keys, paged.token * 4, groups, blocks, block, place, blockTokens * 4)
  const vectors = Math.ceil(tokens / 4)
  floats.fill(Number.NEGATIVE_INFINITY, place / 4 + tokens, place / 4 + vectors * 4)
  kernels.softmax(place, vectors)
}

/** Adds up the values of one head for all rows: four rows together as far as all four reach, then each alone. */
function sumValues(
  kernels: Kernels,
  shape: AttentionShape,
  scratch: AttentionScratch,
  values: number,
  first: number,
  rows: number,
  out: number,
): void {
  const outRow = shape.heads * shape.headDim * 4
  const scoreRow = scratch.scoreRow * 4
  for (let row = 0; row < rows; ) {
    const together = rows - row >= 4 ? 4 : 1
    const common = first + row + 1
    const weights = scratch.scores + row * scoreRow
    const place = out + row * outRow
    addValues(kernels, shape, weights, scoreRow, values, place, outRow, 0, common, together)
    for (let more = 1; more < together; more++) {
      const weightsOf = weights + more * scoreRow
      addValues(
        kernels,
        shape,
        weightsOf,
        scoreRow,
        values,
        place + more * outRow,
        outRow,
        common,
        common + more,
        1,
      )
    }
    row += together
  }
}

/** Adds the weighted values of the tokens `[from, to)` to the outputs of one row, or of four. */
function addValues(
  kernels: Kernels,
  shape: AttentionShape,
  weights: number,
  scoreRow: number,
  values: number,
  out: number,
  outRow: number,
  from: number,
  to: number,
  rows: number,
): void {
  const { headDim, blockTokens, paged } = shape
  const token = paged.token * 4
  const block = paged.blockFloats * 4
  const panel = panelWidth * 4
  const panels = headDim / panelWidth
  for (let at = from; at < to; ) {
    const inBlock = at % blockTokens
    const whole = inBlock === 0 ? Math.floor((to - at) / blockTokens) : 0
    const segments = Math.max(1, whole)
    const count = whole > 0 ? blockTokens : Math.min(blockTokens - inBlock, to - at)
    const w = values + ((at - inBlock) / blockTokens) * block + inBlock * token
    const x = weights + at * 4
    if (rows === 1) {
      rowProduct(kernels, x, w, token, panel, panels, out, count, segments, block)
    } else {
      for (let index = 0; index < panels; index++) {
        const place = out + index * panel
        kernels.product4x1(x, scoreRow, w + index * panel, token, 0, place, outRow, count, segments, block)
      }
    }
    at += segments * count
  }
}
