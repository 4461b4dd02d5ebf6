import { createHash } from "node:crypto"
import type { KvShape } from "../../kv/kv-layout.ts"
import type { ModelInfo } from "../engine.ts"
import type { LlamaConfig } from "../hf-config.ts"

/** A loaded Llama: what the system must know of it, its configuration and its weights in fp32. */
export interface LlamaModel {
  readonly info: ModelInfo
  readonly config: LlamaConfig
  readonly weights: LlamaWeights
}

/** A linear layer: `weight` is `[outputs][inputs]` as checkpoints store it, `bias` is `[outputs]`. */
export interface LinearWeights {
  readonly inputs: number
  readonly outputs: number
  readonly weight: Float32Array
  readonly bias?: Float32Array
}

/** One decoder layer. */
export interface LlamaLayerWeights {
  readonly attentionNorm: Float32Array
  readonly query: LinearWeights
  readonly key: LinearWeights
  readonly value: LinearWeights
  readonly output: LinearWeights
  readonly mlpNorm: Float32Array
  readonly gate: LinearWeights
  readonly up: LinearWeights
  readonly down: LinearWeights
}

/** All weights of a Llama. */
export interface LlamaWeights {
  /** `[vocabSize][hiddenSize]` */
  readonly embedding: Float32Array
  readonly layers: readonly LlamaLayerWeights[]
  readonly norm: Float32Array
  /** Hidden state to logits; shares the embedding's numbers when the model ties them. */
  readonly head: LinearWeights
}

/** Where the numbers of a tensor come from: a checkpoint, or a seed. */
export type TensorSource = (name: string, shape: readonly number[]) => Float32Array

/** Collects the weights of a Llama under their Hugging Face names. Errors are those of `tensor`. */
function llamaWeights(config: LlamaConfig, tensor: TensorSource): LlamaWeights {
  const { hiddenSize, intermediateSize, headDim, attentionBias, mlpBias } = config
  const queries = config.heads * headDim
  const keys = config.kvHeads * headDim
  const linear = (name: string, inputs: number, outputs: number, bias: boolean): LinearWeights => {
    const weight = tensor(`${name}.weight`, [outputs, inputs])
    return { inputs, outputs, weight, ...(bias ? { bias: tensor(`${name}.bias`, [outputs]) } : {}) }
  }
  const layer = (index: number): LlamaLayerWeights => {
    const name = `model.layers.${index}`
    return {
      attentionNorm: tensor(`${name}.input_layernorm.weight`, [hiddenSize]),
      query: linear(`${name}.self_attn.q_proj`, hiddenSize, queries, attentionBias),
      key: linear(`${name}.self_attn.k_proj`, hiddenSize, keys, attentionBias),
      value: linear(`${name}.self_attn.v_proj`, hiddenSize, keys, attentionBias),
      output: linear(`${name}.self_attn.o_proj`, queries, hiddenSize, attentionBias),
      mlpNorm: tensor(`${name}.post_attention_layernorm.weight`, [hiddenSize]),
      gate: linear(`${name}.mlp.gate_proj`, hiddenSize, intermediateSize, mlpBias),
      up: linear(`${name}.mlp.up_proj`, hiddenSize, intermediateSize, mlpBias),
      down: linear(`${name}.mlp.down_proj`, intermediateSize, hiddenSize, mlpBias),
    }
  }
  const embedding = tensor("model.embed_tokens.weight", [config.vocabSize, hiddenSize])
  const layers = Array.from({ length: config.layers }, (_, index) => layer(index))
  const norm = tensor("model.norm.weight", [hiddenSize])
  const head = config.tiedEmbeddings
    ? { inputs: hiddenSize, outputs: config.vocabSize, weight: embedding }
    : linear("lm_head", hiddenSize, config.vocabSize, false)
  return { embedding, layers, norm, head }
}

/** Puts a model together; `contextTokens` may be lowered below what the configuration allows. */
export function llamaModel(
  name: string,
  config: LlamaConfig,
  tensor: TensorSource,
  contextTokens: number = config.contextTokens,
): LlamaModel {
  const fingerprint = createHash("sha256").update(JSON.stringify(config))
  const weights = llamaWeights(config, (tensorName, shape) => {
    const numbers = tensor(tensorName, shape)
    fingerprint.update(`${tensorName}\n`)
    fingerprint.update(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength))
    return numbers
  })
  const info: ModelInfo = {
    name,
    shape: kvShape(config),
    vocabSize: config.vocabSize,
    contextTokens: Math.min(contextTokens, config.contextTokens),
    endTokens: config.endTokens,
    fingerprint: fingerprint.digest("hex").slice(0, 32),
  }
  return { info, config, weights }
}

/** The cache that a model of this configuration fills: fp32, all key/value heads. */
function kvShape(config: LlamaConfig): KvShape {
  return { layers: config.layers, kvHeads: config.kvHeads, headDim: config.headDim, elementBytes: 4 }
}
