/** How a model stores a token's keys and values in one layer. */
export type KvKind =
  /** Keys and values of `kvHeads` heads, shared out over the ranks. */
  | { readonly kind: "heads"; readonly kvHeads: number; readonly headDim: number }
  /** One compressed latent and one rotary key for all heads (MLA): every rank holds all of it. */
  | { readonly kind: "latent"; readonly latent: number; readonly rope: number }

/** The numbers of a model's configuration that decide the size of its cache. */
export interface ModelPreset {
  readonly name: string
  /** Whose config.json says so. */
  readonly source: string
  readonly layers: number
  readonly kv: KvKind
  /** Layers that keep a window of so many tokens only; the others keep all. */
  readonly window?: { readonly layers: number; readonly tokens: number }
}

const heads = (kvHeads: number, headDim: number): KvKind => ({ kind: "heads", kvHeads, headDim })
const latent = (): KvKind => ({ kind: "latent", latent: 512, rope: 64 })

/**
 * Models by name. `num_hidden_layers`, `num_key_value_heads` and `head_dim` (or hidden size over attention heads), for MLA
 * `kv_lora_rank` and `qk_rope_head_dim`, as in the config.json of the repository on Hugging Face that `source` names.
 */
export const modelPresets: readonly ModelPreset[] = [
  { name: "llama-3.1-8b", source: "meta-llama/Llama-3.1-8B", layers: 32, kv: heads(8, 128) },
  { name: "llama-3.1-70b", source: "meta-llama/Llama-3.1-70B", layers: 80, kv: heads(8, 128) },
  { name: "llama-3.1-405b", source: "meta-llama/Llama-3.1-405B", layers: 126, kv: heads(8, 128) },
  { name: "llama-3.2-3b", source: "meta-llama/Llama-3.2-3B", layers: 28, kv: heads(8, 128) },
  { name: "llama-3.3-70b", source: "meta-llama/Llama-3.3-70B-Instruct", layers: 80, kv: heads(8, 128) },
  { name: "qwen2.5-7b", source: "Qwen/Qwen2.5-7B", layers: 28, kv: heads(4, 128) },
  { name: "qwen2.5-32b", source: "Qwen/Qwen2.5-32B", layers: 64, kv: heads(8, 128) },
  { name: "qwen2.5-72b", source: "Qwen/Qwen2.5-72B", layers: 80, kv: heads(8, 128) },
  { name: "qwen3-0.6b", source: "Qwen/Qwen3-0.6B", layers: 28, kv: heads(8, 128) },
  { name: "qwen3-8b", source: "Qwen/Qwen3-8B", layers: 36, kv: heads(8, 128) },
  { name: "qwen3-32b", source: "Qwen/Qwen3-32B", layers: 64, kv: heads(8, 128) },
  { name: "qwen3-30b-a3b", source: "Qwen/Qwen3-30B-A3B", layers: 48, kv: heads(4, 128) },
  { name: "qwen3-235b-a22b", source: "Qwen/Qwen3-235B-A22B", layers: 94, kv: heads(4, 128) },
  { name: "mistral-7b", source: "mistralai/Mistral-7B-v0.3", layers: 32, kv: heads(8, 128) },
  { name: "mixtral-8x7b", source: "mistralai/Mixtral-8x7B-v0.1", layers: 32, kv: heads(8, 128) },
  { name: "mixtral-8x22b", source: "mistralai/Mixtral-8x22B-v0.1", layers: 56, kv: heads(8, 128) },
  { name: "deepseek-v3", source: "deepseek-ai/DeepSeek-V3", layers: 61, kv: latent() },
  { name: "deepseek-r1", source: "deepseek-ai/DeepSeek-R1", layers: 61, kv: latent() },
  { name: "kimi-k2", source: "moonshotai/Kimi-K2-Instruct", layers: 61, kv: latent() },
  {
    name: "gpt-oss-20b",
    source: "openai/gpt-oss-20b",
    layers: 24,
    kv: heads(8, 64),
    window: { layers: 12, tokens: 128 },
  },
  {
    name: "gpt-oss-120b",
    source: "openai/gpt-oss-120b",
    layers: 36,
    kv: heads(8, 64),
    window: { layers: 18, tokens: 128 },
  },
]
