import assert from "node:assert/strict"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { llamaConfig, readLlamaConfig } from "./hf-config.ts"
import { temporaryFolder } from "./support-for-tests.ts"

const source = {
  architectures: ["LlamaForCausalLM"],
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 8,
  vocab_size: 320,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 512,
}

const read = (changes: object) => llamaConfig({ ...source, ...changes }, "config.json")

test("fields that Hugging Face leaves out have their defaults", () => {
  const config = read({ eos_token_id: null, rope_scaling: null, head_dim: null })
  assert.deepEqual(config, {
    hiddenSize: 64,
    intermediateSize: 128,
    layers: 2,
    heads: 8,
    kvHeads: 8,
    headDim: 8,
    normEpsilon: 1e-5,
    rope: { theta: 10_000, scaling: { kind: "none" } },
    contextTokens: 512,
    vocabSize: 320,
    tiedEmbeddings: false,
    attentionBias: false,
    mlpBias: false,
    endTokens: [],
  })
})

test("a model may name its kind by model_type alone", () => {
  assert.equal(read({ architectures: undefined, model_type: "llama" }).layers, 2)
})

test("rotary scaling is read in the spelling of transformers 5, 4 and before", () => {
  const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 }
  const scaling = {
    kind: "llama3",
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContextTokens: 32,
  }
  const newer = read({ rope_parameters: { rope_type: "llama3", rope_theta: 5e5, ...llama3 } })
  const older = read({ rope_theta: 5e5, rope_scaling: { rope_type: "llama3", ...llama3 } })
  assert.deepEqual(newer.rope, { theta: 5e5, scaling })
  assert.deepEqual(older.rope, newer.rope)
  assert.deepEqual(read({ rope_scaling: { type: "linear", factor: 2 } }).rope.scaling, {
    kind: "linear",
    factor: 2,
  })
  assert.deepEqual(read({ rope_parameters: { rope_type: "default" } }).rope, {
    theta: 10_000,
    scaling: { kind: "none" },
  })
})

test("end tokens come from both files, once each", (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...source, eos_token_id: 2 }))
  assert.deepEqual(readLlamaConfig(folder).endTokens, [2])
  writeFileSync(join(folder, "generation_config.json"), '{"eos_token_id":[9,2]}')
  assert.deepEqual(readLlamaConfig(folder).endTokens, [2, 9])
  writeFileSync(join(folder, "generation_config.json"), '{"eos_token_id":320}')
  refuses(() => readLlamaConfig(folder), /generation_config\.json has eos_token_id 320.*0 to 319/)
})

test("a missing or broken config.json is refused", (t) => {
  const folder = temporaryFolder(t)
  refuses(() => readLlamaConfig(folder), /config\.json cannot be read/)
  writeFileSync(join(folder, "config.json"), "{")
  refuses(() => readLlamaConfig(folder), /config\.json is not JSON/)
})

const refused: readonly (readonly [string, object, RegExp])[] = [
  [
    "another architecture",
    { architectures: ["QwenForCausalLM"] },
    /describes \["QwenForCausalLM"\].*LlamaForCausalLM/,
  ],
  ["another model type", { architectures: undefined, model_type: "gpt2" }, /describes "gpt2"/],
  ["no kind at all", { architectures: undefined }, /describes no architecture/],
  ["another activation", { hidden_act: "gelu" }, /hidden_act "gelu"/],
  ["quantized weights", { quantization_config: { bits: 4 } }, /quantization_config/],
  [
    "a missing field",
    { hidden_size: undefined },
    /nothing as hidden_size; why: hidden_size must be a whole number/,
  ],
  ["a field of text", { num_hidden_layers: "2" }, /"2" as num_hidden_layers/],
  ["a field of zero", { vocab_size: 0 }, /0 as vocab_size/],
  ["a broken number", { intermediate_size: 100.5 }, /100\.5 as intermediate_size/],
  [
    "an epsilon of zero",
    { rms_norm_eps: 0 },
    /0 as rms_norm_eps; why: rms_norm_eps must be a number above 0/,
  ],
  ["a flag that is none", { tie_word_embeddings: 1 }, /1 as tie_word_embeddings/],
  ["heads that do not divide", { num_key_value_heads: 3 }, /8 attention heads and 3 key\/value heads/],
  ["a head of broken size", { num_attention_heads: 7 }, /9\.14\d+ as head_dim/],
  ["a head that is no multiple of 8", { head_dim: 12 }, /head_dim 12.*multiple of 8/],
  ["a width that is no multiple of 8", { intermediate_size: 100 }, /intermediate_size 100.*multiple of 8/],
  ["an end token of text", { eos_token_id: "2" }, /eos_token_id "2"/],
  ["an end token outside the vocabulary", { eos_token_id: [1, 320] }, /eos_token_id \[1,320\].*0 to 319/],
  [
    "unknown scaling",
    { rope_scaling: { rope_type: "yarn", factor: 2 } },
    /rope_type "yarn".*default, linear and llama3/,
  ],
  ["scaling that is no object", { rope_scaling: 2 }, /2 as rope_scaling/],
  ["linear scaling without a factor", { rope_scaling: { type: "linear" } }, /nothing as factor/],
  [
    "llama3 scaling with a missing number",
    { rope_parameters: { rope_type: "llama3", factor: 8 } },
    /low_freq_factor/,
  ],
  ["half rotated heads", { partial_rotary_factor: 0.5 }, /rotates 0\.5 of each head/],
]

for (const [name, changes, says] of refused) {
  test(`${name}: refused by name`, () => refuses(() => read(changes), says))
}

function refuses(act: () => unknown, says: RegExp): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof KvError && error.code === "KV_MODEL_INVALID", String(error))
    assert.match(error.message, says)
    return true
  })
}
