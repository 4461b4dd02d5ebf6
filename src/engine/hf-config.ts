import { join } from "node:path"
import { type ConfigFields, configFields } from "./config-fields.ts"
import { readJsonObject, readJsonObjectIfAny } from "./json-file.ts"
import { modelInvalid } from "./model-error.ts"
import { type RopeConfig, readRope } from "./rope-config.ts"

/** Everything a Llama decoder needs to know besides its weights. */
export interface LlamaConfig {
  readonly hiddenSize: number
  /** Width between the two halves of the MLP. */
  readonly intermediateSize: number
  readonly layers: number
  /** Query heads. */
  readonly heads: number
  /** Key/value heads; each serves `heads / kvHeads` query heads. */
  readonly kvHeads: number
  readonly headDim: number
  readonly normEpsilon: number
  readonly rope: RopeConfig
  /** Most tokens of one sequence. */
  readonly contextTokens: number
  readonly vocabSize: number
  /** True when the output projection is the embedding. */
  readonly tiedEmbeddings: boolean
  readonly attentionBias: boolean
  readonly mlpBias: boolean
  /** Tokens that end an answer, in ascending order. */
  readonly endTokens: readonly number[]
}

/**
 * Reads `config.json`, and `generation_config.json` for more end tokens.
 * @throws KvError KV_MODEL_INVALID naming the file, the field, what it holds and what it should hold.
 */
export function readLlamaConfig(directory: string): LlamaConfig {
  const path = join(directory, "config.json")
  const config = llamaConfig(readJsonObject(path), path)
  const generationPath = join(directory, "generation_config.json")
  const generation = readJsonObjectIfAny(generationPath)
  if (generation === undefined) return config
  const more = endTokens(configFields(generation, generationPath), config.vocabSize)
  return { ...config, endTokens: ascending([...config.endTokens, ...more]) }
}

/** The same from an object that has been read; `path` appears in errors. */
export function llamaConfig(source: Readonly<Record<string, unknown>>, path: string): LlamaConfig {
  const fields = configFields(source, path)
  refuseOtherModels(fields)
  const hiddenSize = fields.count("hidden_size")
  const heads = fields.count("num_attention_heads")
  const kvHeads = fields.count("num_key_value_heads", heads)
  const headDim = fields.count("head_dim", hiddenSize / heads)
  const vocabSize = fields.count("vocab_size")
  const intermediateSize = fields.count("intermediate_size")
  checkHeads(path, heads, kvHeads)
  checkMultipleOf8(path, { hidden_size: hiddenSize, intermediate_size: intermediateSize, head_dim: headDim })
  return {
    hiddenSize,
    intermediateSize,
    layers: fields.count("num_hidden_layers"),
    heads,
    kvHeads,
    headDim,
    normEpsilon: fields.positive("rms_norm_eps"),
    rope: readRope(fields),
    contextTokens: fields.count("max_position_embeddings"),
    vocabSize,
    tiedEmbeddings: fields.flag("tie_word_embeddings", false),
    attentionBias: fields.flag("attention_bias", false),
    mlpBias: fields.flag("mlp_bias", false),
    endTokens: endTokens(fields, vocabSize),
  }
}

function refuseOtherModels(fields: ConfigFields): void {
  const { path } = fields
  const architectures = fields.source["architectures"]
  const isLlama = Array.isArray(architectures)
    ? architectures.includes("LlamaForCausalLM")
    : fields.source["model_type"] === "llama"
  if (!isLlama) {
    const found = JSON.stringify(architectures ?? fields.source["model_type"]) ?? "no architecture"
    throw unsupported(`${path} describes ${found}`, "the embedded engine runs LlamaForCausalLM only")
  }
  const activation = fields.source["hidden_act"] ?? "silu"
  if (activation !== "silu") {
    throw unsupported(`${path} asks for hidden_act ${JSON.stringify(activation)}`, "only silu is known")
  }
  const quantization = fields.source["quantization_config"]
  if (quantization !== undefined && quantization !== null) {
    throw unsupported(`${path} has a quantization_config`, "only fp32, fp16 and bf16 weights can be read")
  }
}

function checkHeads(path: string, heads: number, kvHeads: number): void {
  if (heads % kvHeads !== 0) {
    throw modelInvalid(`${path} has ${heads} attention heads and ${kvHeads} key/value heads: not a multiple`)
  }
}

/** The kernels take eight outputs at a time. */
function checkMultipleOf8(path: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) {
    if (size % 8 !== 0) {
      throw unsupported(`${path} has ${name} ${size}`, "the embedded engine needs a multiple of 8")
    }
  }
}

function endTokens(fields: ConfigFields, vocabSize: number): readonly number[] {
  const value = fields.source["eos_token_id"] ?? []
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  const tokens = list.filter((token): token is number => typeof token === "number" && Number.isInteger(token))
  if (tokens.length !== list.length || tokens.some((token) => token < 0 || token >= vocabSize)) {
    throw modelInvalid(
      `${fields.path} has eos_token_id ${JSON.stringify(value)}`,
      `token ids are whole numbers from 0 to ${vocabSize - 1}`,
    )
  }
  return ascending(tokens)
}

function ascending(tokens: readonly number[]): readonly number[] {
  return [...new Set(tokens)].sort((a, b) => a - b)
}

function unsupported(what: string, why: string): Error {
  return modelInvalid(what, why, "choose a Llama checkpoint, or run this model on an external engine")
}
