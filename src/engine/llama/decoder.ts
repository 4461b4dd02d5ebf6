import type { KvCache } from "../../kv/kv-cache.ts"
import { blocksFor } from "../../kv/kv-layout.ts"
import type { LlamaConfig } from "../hf-config.ts"
import { type Kernels, openKernels } from "../kernels/kernels.ts"
import { type ArenaPlan, planArena } from "./arena.ts"
import { type AttentionShape, attend, scoreRowFloats } from "./attention.ts"
import { linear, type PackedLinear } from "./linear.ts"
import { type PackedLayer, type PackedLlama, reserveLlama } from "./packed-llama.ts"
import { openPagedRows } from "./paged-rows.ts"
import { rmsNorm } from "./rms-norm.ts"
import { fillAngles, type RotaryAngles, rotaryAngles, rotaryFrequencies, rotate } from "./rotary.ts"
import type { LlamaModel } from "./weights.ts"

/** Most tokens that pass through the layers together. */
export const chunkTokens = 64

/** The layers of a Llama over one cache. Its arguments have been checked. */
export interface LlamaDecoder {
  /**
   * Takes the `rows` tokens from index `from` of `tokens` through all layers, as positions `first`, `first + 1`, …,
   * and stores their keys and values. `rows` is at most `chunkTokens`.
   */
  forward(tokens: ArrayLike<number>, from: number, rows: number, blocks: Uint32Array, first: number): void
  /** The logits of row `row` of the last `forward`. The array is used again by the next call. */
  logits(row: number): Float32Array
}

/** Addresses of everything that lives for one step. All of it is allocated once. */
interface Scratch {
  /** The residual stream, `[rows][hiddenSize]`. */
  readonly hidden: number
  readonly normed: number
  readonly query: number
  readonly key: number
  readonly value: number
  /** What attention found, `[rows][heads * headDim]`. */
  readonly found: number
  readonly gate: number
  readonly up: number
  /** What a half of a layer adds to the residual stream. */
  readonly added: number
  readonly scores: number
  readonly scoreRow: number
  readonly blocks: number
  readonly logits: number
}

interface Decoder {
  readonly config: LlamaConfig
  readonly kernels: Kernels
  readonly floats: Float32Array
  readonly packed: PackedLlama
  readonly scratch: Scratch
  readonly attention: AttentionShape
  readonly blockTokens: number
  readonly frequencies: Float32Array
  readonly angles: RotaryAngles
}

/** Copies the weights into kernel memory and allocates all scratch. @throws KvError KV_MODEL_INVALID beyond 4 GiB. */
export function openDecoder(model: LlamaModel, cache: KvCache): LlamaDecoder {
  const { config } = model
  const { blockTokens } = cache.layout
  const paged = openPagedRows(cache)
  const plan = planArena()
  const { packed, fill } = reserveLlama(plan, model.weights)
  const contextBlocks = blocksFor(model.info.contextTokens, blockTokens)
  const scoreRow = scoreRowFloats(model.info.contextTokens, blockTokens)
  // The kernels read whole groups of tokens: a few rows beyond the last block.
  const scratch = reserveScratch(plan, config, scoreRow, contextBlocks * paged.blockFloats + 4 * paged.token)
  const arena = plan.allocate()
  fill(arena)
  const decoder: Decoder = {
    config,
    kernels: openKernels(arena.memory),
    floats: arena.floats,
    packed,
    scratch,
    attention: { heads: config.heads, kvHeads: config.kvHeads, headDim: config.headDim, blockTokens, paged },
    blockTokens,
    frequencies: rotaryFrequencies(config.rope, config.headDim),
    angles: rotaryAngles(chunkTokens, config.headDim / 2),
  }
  const logits = arena.floats.subarray(scratch.logits / 4, scratch.logits / 4 + config.vocabSize)
  return {
    forward: (tokens, from, rows, blocks, first) => {
      embed(decoder, tokens, from, rows)
      fillAngles(decoder.angles, decoder.frequencies, first, rows)
      for (let layer = 0; layer < config.layers; layer++) {
        attentionHalf(decoder, packed.layers[layer]!, layer, rows, blocks, first)
        mlpHalf(decoder, packed.layers[layer]!, rows)
      }
    },
    logits: (row) => {
      const { hidden, normed } = scratch
      const { hiddenSize, normEpsilon } = config
      rmsNorm(arena.floats, hidden / 4 + row * hiddenSize, 1, packed.norm, normEpsilon, normed / 4)
      product(decoder, packed.head, normed, 1, scratch.logits)
      return logits
    },
  }
}

function reserveScratch(
  plan: ArenaPlan,
  config: LlamaConfig,
  scoreRow: number,
  blockFloats: number,
): Scratch {
  const rows = (width: number): number => plan.reserve(chunkTokens * width)
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = config
  return {
    hidden: rows(hiddenSize),
    normed: rows(hiddenSize),
    query: rows(heads * headDim),
    key: rows(kvHeads * headDim),
    value: rows(kvHeads * headDim),
    found: rows(heads * headDim),
    gate: rows(intermediateSize),
    up: rows(intermediateSize),
    added: rows(hiddenSize),
    scores: rows(scoreRow),
    scoreRow,
    blocks: plan.reserve(blockFloats),
    logits: plan.reserve(Math.ceil(vocabSize / 8) * 8),
  }
}

function embed(
  { config, floats, packed, scratch }: Decoder,
  tokens: ArrayLike<number>,
  from: number,
  rows: number,
): void {
  const { hiddenSize } = config
  for (let row = 0, target = scratch.hidden / 4; row < rows; row++) {
    let source = tokens[from + row]! * hiddenSize
    for (const end = source + hiddenSize; source < end; source++, target++)
      floats[target] = packed.embedding[source]!
  }
}

function attentionHalf(
  decoder: Decoder,
  layer: PackedLayer,
  index: number,
  rows: number,
  blocks: Uint32Array,
  first: number,
): void {
  const { config, kernels, floats, scratch, attention, angles, blockTokens } = decoder
  const { heads, kvHeads, headDim } = config
  const { paged } = attention
  norm(decoder, layer.attentionNorm, rows)
  product(decoder, layer.query, scratch.normed, rows, scratch.query)
  product(decoder, layer.key, scratch.normed, rows, scratch.key)
  product(decoder, layer.value, scratch.normed, rows, scratch.value)
  rotate(floats, scratch.query / 4, rows, heads, headDim / 2, angles, 1 / Math.sqrt(headDim))
  rotate(floats, scratch.key / 4, rows, kvHeads, headDim / 2, angles, 1)
  // What attention reads is what the cache stored: a damaged cache cannot go unnoticed.
  paged.store(index, blocks, first, rows, floats, scratch.key / 4, scratch.value / 4)
  paged.gather(index, blocks, blocksFor(first + rows, blockTokens), floats, scratch.blocks / 4)
  const found = scratch.found / 4
  floats.fill(0, found, found + rows * heads * headDim)
  attend(kernels, floats, attention, scratch, scratch.query, first, rows, scratch.found)
  product(decoder, layer.output, scratch.found, rows, scratch.added)
  addToHidden(decoder, rows)
}

function mlpHalf(decoder: Decoder, layer: PackedLayer, rows: number): void {
  const { config, kernels, scratch } = decoder
  norm(decoder, layer.mlpNorm, rows)
  product(decoder, layer.gate, scratch.normed, rows, scratch.gate)
  product(decoder, layer.up, scratch.normed, rows, scratch.up)
  kernels.swiglu(scratch.gate, scratch.up, (rows * config.intermediateSize) / 4)
  product(decoder, layer.down, scratch.gate, rows, scratch.added)
  addToHidden(decoder, rows)
}

function norm({ config, floats, scratch }: Decoder, weight: Float32Array, rows: number): void {
  rmsNorm(floats, scratch.hidden / 4, rows, weight, config.normEpsilon, scratch.normed / 4)
}

function product(
  { kernels, floats }: Decoder,
  layer: PackedLinear,
  x: number,
  rows: number,
  out: number,
): void {
  linear(kernels, floats, layer, x, rows, out)
}

function addToHidden({ config, floats, scratch }: Decoder, rows: number): void {
  const hidden = scratch.hidden / 4
  const added = scratch.added / 4
  const count = rows * config.hiddenSize
  for (let index = 0; index < count; index++)
    floats[hidden + index] = floats[hidden + index]! + floats[added + index]!
}
