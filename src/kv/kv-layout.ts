import { KvError } from "../errors/kv-error.ts"

/** The parts of a model that decide what its KV cache looks like. */
export interface KvShape {
  /** Decoder layers; each has its own region. */
  readonly layers: number
  /** Key/value heads of the whole model (all TP ranks together). */
  readonly kvHeads: number
  /** Numbers in one head's key (or value) of one token. */
  readonly headDim: number
  /** Bytes of one number: 4 for fp32, 2 for fp16 and bf16. */
  readonly elementBytes: number
}

/** Which dimension varies fastest above the head's own numbers. */
export type KvOrder = "head-major" | "token-major"

/**
 * How one side stores a KV cache in blocks.
 *
 * Each layer is one region of `blocks` blocks. A block holds `blockTokens` tokens of the heads
 * `[firstHead, firstHead + heads)`, first all keys, then all values:
 * head-major `[2][heads][blockTokens][headDim]`, token-major `[2][blockTokens][heads][headDim]`.
 */
export interface KvLayout {
  readonly shape: KvShape
  readonly order: KvOrder
  /** Tokens in one block. */
  readonly blockTokens: number
  /** Blocks in each layer's region. */
  readonly blocks: number
  /** First key/value head this side holds. */
  readonly firstHead: number
  /** Number of key/value heads this side holds. */
  readonly heads: number
}

/** Distances in bytes inside one layer's region. */
export interface KvStrides {
  readonly block: number
  /** From the keys of a block to its values. */
  readonly plane: number
  readonly head: number
  readonly token: number
  /** One head of one token: the smallest contiguous run. */
  readonly row: number
}

/** Distances in bytes from one block, plane (K or V), head or token to the next. */
export function kvStrides(layout: KvLayout): KvStrides {
  const row = layout.shape.headDim * layout.shape.elementBytes
  const plane = layout.heads * layout.blockTokens * row
  return layout.order === "head-major"
    ? { block: 2 * plane, plane, head: layout.blockTokens * row, token: row, row }
    : { block: 2 * plane, plane, head: row, token: layout.heads * row, row }
}

/** Bytes of one layer's region. */
export function layerBytes(layout: KvLayout): number {
  return layout.blocks * kvStrides(layout).block
}

/** Blocks that `tokens` tokens need. */
export function blocksFor(tokens: number, blockTokens: number): number {
  return Math.ceil(tokens / blockTokens)
}

/** Tokens that lie in the block at `position` of a sequence of `tokens` tokens: `blockTokens`, fewer in the last. */
export function tokensInBlock(position: number, tokens: number, blockTokens: number): number {
  return Math.max(0, Math.min(blockTokens, tokens - position * blockTokens))
}

/** A layout for the whole model on one side. @throws KvError KV_PLAN_IMPOSSIBLE when a number makes no sense. */
export function wholeModelLayout(
  shape: KvShape,
  options: { readonly blocks: number; readonly blockTokens?: number; readonly order?: KvOrder },
): KvLayout {
  return checkedLayout({
    shape,
    order: options.order ?? "head-major",
    blockTokens: options.blockTokens ?? 16,
    blocks: options.blocks,
    firstHead: 0,
    heads: shape.kvHeads,
  })
}

/** Returns `layout` when its numbers make sense. @throws KvError KV_PLAN_IMPOSSIBLE naming the number that does not. */
export function checkedLayout(layout: KvLayout): KvLayout {
  const { shape } = layout
  const counts = {
    layers: shape.layers,
    kvHeads: shape.kvHeads,
    headDim: shape.headDim,
    elementBytes: shape.elementBytes,
    blockTokens: layout.blockTokens,
    blocks: layout.blocks,
    heads: layout.heads,
  }
  for (const [name, value] of Object.entries(counts)) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw impossible(`${name} is ${value}`, "it must be at least 1")
  }
  if (!Number.isSafeInteger(layout.firstHead) || layout.firstHead < 0) {
    throw impossible(`firstHead is ${layout.firstHead}`, "it must be 0 or more")
  }
  if (layout.firstHead + layout.heads > shape.kvHeads) {
    throw impossible(
      `heads ${layout.firstHead} to ${layout.firstHead + layout.heads - 1} were asked for`,
      `the model has ${shape.kvHeads} key/value heads`,
    )
  }
  if (!Number.isSafeInteger(layerBytes(layout)))
    throw impossible("a layer has more than 2^53 bytes", undefined)
  return layout
}

function impossible(what: string, why: string | undefined): KvError {
  return new KvError("KV_PLAN_IMPOSSIBLE", {
    what: `this KV layout is impossible: ${what}`,
    ...(why === undefined ? {} : { why }),
    next: "check the model's config.json and the pool's options",
  })
}
