import assert from "node:assert/strict"
import { test } from "node:test"
import { modelLoad } from "./model-load.ts"
import { modelPresets } from "./model-presets.ts"

const ask = (model: string, tp = 1, tokens = 4096, elementBytes = 2) =>
  modelLoad({ model, tokens, tp, blockTokens: 16, elementBytes })

test("bytes per token are those that the models' makers and servers tell", () => {
  // 128 KiB, 320 KiB and 504 KiB a token in bf16; 68.6 KiB with MLA.
  const known = {
    "llama-3.1-8b": 131_072,
    "llama-3.1-70b": 327_680,
    "llama-3.1-405b": 516_096,
    "deepseek-v3": 70_272,
    "gpt-oss-120b": 73_728,
    "qwen3-235b-a22b": 192_512,
    "qwen2.5-7b": 57_344,
  }
  for (const [model, bytes] of Object.entries(known)) assert.equal(ask(model).bytesPerToken, bytes, model)
  assert.equal(ask("llama-3.1-70b", 1, 4096, 1).bytesPerToken, 163_840)
})

test("70B on eight ranks: one head each, blocks of 8 KiB, 160 MiB a rank for 4,096 tokens", () => {
  const { rank, promptBytes, formula } = ask("llama-3.1-70b", 8)
  assert.equal(rank.blockBytes, 8192)
  assert.equal(rank.blocks, 256)
  assert.equal(rank.layers, 80)
  assert.equal(rank.bytes, 160 * 2 ** 20)
  assert.equal(rank.bytes * 8, promptBytes)
  assert.match(formula.join("\n"), /2 \(K, V\) × 1 heads × 128 numbers × 2 bytes × 16 tokens = 8,192 bytes/)
})

test("fewer heads than ranks are held twice, and a latent by everybody", () => {
  assert.equal(ask("qwen3-235b-a22b", 8).copies, 2)
  assert.equal(ask("qwen3-235b-a22b", 8).rank.blockBytes, 8192)
  const mla = ask("deepseek-v3", 8)
  assert.equal(mla.rank.blockBytes, 576 * 2 * 16)
  assert.equal(mla.rank.bytes, mla.promptBytes)
})

test("the geometry of a rank's blocks has their size", () => {
  for (const { name } of modelPresets) {
    const { rank } = ask(name, 1)
    const { shape, blockTokens } = rank.geometry
    assert.equal(2 * shape.kvHeads * shape.headDim * shape.elementBytes * blockTokens, rank.blockBytes, name)
  }
})

test("an unknown model, and ranks that do not fit, are refused with a way on", () => {
  assert.throws(() => ask("llama-3.1-80b"), /did you mean llama-3.1-8[0b]|did you mean llama-3.1-70b/)
  assert.throws(() => ask("llama-3.1-8b", 3), /cannot be shared by 3 ranks/)
})
