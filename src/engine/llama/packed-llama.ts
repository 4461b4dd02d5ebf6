import type { Arena, ArenaPlan } from "./arena.ts"
import { type PackedLinear, packLinear, reserveLinear } from "./linear.ts"
import type { LinearWeights, LlamaLayerWeights, LlamaWeights } from "./weights.ts"

/** One decoder layer with its linear layers in kernel memory. */
export interface PackedLayer {
  readonly attentionNorm: Float32Array
  readonly query: PackedLinear
  readonly key: PackedLinear
  readonly value: PackedLinear
  readonly output: PackedLinear
  readonly mlpNorm: Float32Array
  readonly gate: PackedLinear
  readonly up: PackedLinear
  readonly down: PackedLinear
}

/** The weights of a Llama with every linear layer in kernel memory. */
export interface PackedLlama {
  readonly embedding: Float32Array
  readonly layers: readonly PackedLayer[]
  readonly norm: Float32Array
  readonly head: PackedLinear
}

/** Reserves room for all linear layers; `fill` copies them once the arena exists. */
export function reserveLlama(
  plan: ArenaPlan,
  weights: LlamaWeights,
): { readonly packed: PackedLlama; readonly fill: (arena: Arena) => void } {
  const fills: ((arena: Arena) => void)[] = []
  const reserve = (source: LinearWeights): PackedLinear => {
    const packed = reserveLinear(plan, source)
    fills.push((arena) => packLinear(arena, packed, source))
    return packed
  }
  const layer = (source: LlamaLayerWeights): PackedLayer => ({
    attentionNorm: source.attentionNorm,
    query: reserve(source.query),
    key: reserve(source.key),
    value: reserve(source.value),
    output: reserve(source.output),
    mlpNorm: source.mlpNorm,
    gate: reserve(source.gate),
    up: reserve(source.up),
    down: reserve(source.down),
  })
  const packed: PackedLlama = {
    embedding: weights.embedding,
    layers: weights.layers.map(layer),
    norm: weights.norm,
    head: reserve(weights.head),
  }
  return {
    packed,
    fill: (arena) => {
      for (const each of fills) each(arena)
    },
  }
}
