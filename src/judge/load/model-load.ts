import { nearestName } from "../../config/nearest-name.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { CacheGeometry } from "./cache-geometry.ts"
import { type ModelPreset, modelPresets } from "./model-presets.ts"

/** What a prompt of a model weighs, and what one rank moves of it. Bytes. */
export interface ModelLoad {
  readonly model: ModelPreset
  readonly tokens: number
  readonly tp: number
  readonly blockTokens: number
  readonly elementBytes: number
  readonly bytesPerToken: number
  /** Of all layers and ranks. With MLA each rank holds all of it; it is counted once. */
  readonly promptBytes: number
  /** Ranks that hold the same heads, because there are fewer heads than ranks. */
  readonly copies: number
  readonly rank: {
    /** Of one layer. */
    readonly blockBytes: number
    readonly blocks: number
    readonly layers: number
    /** What one rank moves; whole blocks. */
    readonly bytes: number
    readonly geometry: CacheGeometry
  }
  /** The arithmetic, for people. */
  readonly formula: readonly string[]
}

export interface ModelQuestion {
  readonly model: string
  readonly tokens: number
  readonly tp: number
  readonly blockTokens: number
  /** 2 for bf16 and fp16, 1 for fp8. */
  readonly elementBytes: number
}

/** @throws KvError KV_USAGE for an unknown model, or ranks that do not divide its heads. */
export function modelLoad({ model: name, tokens, tp, blockTokens, elementBytes }: ModelQuestion): ModelLoad {
  const model = presetNamed(name)
  const { kv, layers } = model
  const numbers = kv.kind === "heads" ? 2 * kv.kvHeads * kv.headDim : kv.latent + kv.rope
  const split = kv.kind === "heads" ? ranksOf(model.name, kv.kvHeads, tp) : { rankHeads: 1, copies: tp }
  const rankNumbers = kv.kind === "heads" ? 2 * split.rankHeads * kv.headDim : numbers
  const blockBytes = rankNumbers * blockTokens * elementBytes
  const blocks = Math.ceil(tokens / blockTokens)
  const bytesPerToken = numbers * layers * elementBytes
  const headDim = kv.kind === "heads" ? kv.headDim : numbers / 2
  return {
    model,
    tokens,
    tp,
    blockTokens,
    elementBytes,
    bytesPerToken,
    promptBytes: bytesPerToken * tokens,
    copies: split.copies,
    rank: {
      blockBytes,
      blocks,
      layers,
      bytes: blockBytes * blocks * layers,
      geometry: { shape: { kvHeads: split.rankHeads, headDim, elementBytes }, blockTokens },
    },
    formula: formulaOf(model, { tokens, tp, blockTokens, elementBytes, ...split, blocks, blockBytes }),
  }
}

function presetNamed(name: string): ModelPreset {
  const found = modelPresets.find((preset) => preset.name === name.toLowerCase())
  if (found !== undefined) return found
  const names = modelPresets.map((preset) => preset.name)
  const near = nearestName(name.toLowerCase().slice(0, 60), names)
  throw new KvError("KV_USAGE", {
    what: `--model does not know ${JSON.stringify(name.slice(0, 60))}`,
    ...(near === undefined ? {} : { why: `did you mean ${near}?` }),
    next: `name one of ${names.join(", ")}; or give sizes: --num-layers, --block-size, --blocks`,
  })
}

/** Fewer heads than ranks are held by several ranks each, as vLLM does it. */
function ranksOf(model: string, kvHeads: number, tp: number): { rankHeads: number; copies: number } {
  if (kvHeads % tp === 0) return { rankHeads: kvHeads / tp, copies: 1 }
  if (tp % kvHeads === 0) return { rankHeads: 1, copies: tp / kvHeads }
  throw new KvError("KV_USAGE", {
    what: `${kvHeads} key/value heads of ${model} cannot be shared by ${tp} ranks`,
    why: "each rank holds the same number of heads, or each head is held by the same number of ranks",
    next: "take a --tp that divides the heads, or a multiple of them",
  })
}

function formulaOf(
  { name, source, kv, layers, window }: ModelPreset,
  {
    tokens,
    tp,
    blockTokens,
    elementBytes,
    rankHeads,
    copies,
    blocks,
    blockBytes,
  }: {
    readonly tokens: number
    readonly tp: number
    readonly blockTokens: number
    readonly elementBytes: number
    readonly rankHeads: number
    readonly copies: number
    readonly blocks: number
    readonly blockBytes: number
  },
): string[] {
  const n = (value: number): string => value.toLocaleString("en")
  const numbers = kv.kind === "heads" ? 2 * kv.kvHeads * kv.headDim : kv.latent + kv.rope
  const perToken = numbers * elementBytes * layers
  const held =
    kv.kind === "heads"
      ? `2 (K, V) × ${rankHeads} heads × ${kv.headDim} numbers`
      : `(${kv.latent} latent + ${kv.rope} rotary) numbers`
  const whole =
    kv.kind === "heads"
      ? `2 (K, V) × ${kv.kvHeads} heads × ${kv.headDim} numbers`
      : `(${kv.latent} latent + ${kv.rope} rotary) numbers`
  return [
    `${name} (config.json of ${source})`,
    `a token: ${whole} × ${elementBytes} bytes × ${layers} layers = ${n(perToken)} bytes`,
    `a prompt of ${n(tokens)} tokens: ${n(tokens)} × ${n(perToken)} = ${n(tokens * perToken)} bytes`,
    `a block on one of ${tp} rank${tp === 1 ? "" : "s"}, one layer: ${held} × ${elementBytes} bytes × ${blockTokens} tokens = ${n(blockBytes)} bytes`,
    `a rank moves ${n(blocks)} block${blocks === 1 ? "" : "s"} × ${layers} layers × ${n(blockBytes)} = ${n(blocks * layers * blockBytes)} bytes`,
    ...(kv.kind === "latent" && tp > 1 ? ["every rank holds the whole latent: each moves all of it"] : []),
    ...(kv.kind === "heads" && copies > 1 ? [`each head is held by ${copies} ranks`] : []),
    ...(window === undefined
      ? []
      : [
          `${window.layers} of the layers attend to ${window.tokens} tokens only; an engine that keeps no more of them moves less`,
        ]),
  ]
}
