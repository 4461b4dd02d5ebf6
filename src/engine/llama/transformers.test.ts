import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { openSafetensors } from "../safetensors.ts"
import { fixturePath, storedRows, testCache, testSequence } from "../support-for-tests.ts"
import { openLlama } from "./open-llama.ts"
import { readLlama } from "./read-llama.ts"
import type { LlamaModel } from "./weights.ts"

// Both sides compute in fp32 with different orders of summation. Measured: at most 2.8e-6.
const tolerance = 1e-5

const cases = [
  "untied-fp32",
  "tied-fp16",
  "untied-bf16",
  "sharded",
  "all-heads-own-keys",
  "one-key-head",
  "wide-heads",
  "biases",
  "rope-llama3",
  "rope-linear",
]

for (const name of cases) {
  test(`${name}: every logit, key and value is what transformers computes`, (t) => {
    const model = readLlama(fixturePath(name))
    const expected = readExpected(name, model)
    const cache = testCache(model.info)
    const sequence = testSequence(cache, true)
    const engine = openLlama(model, cache)
    const differences = [...expected.tokens].map((token, position) => {
      const logits = engine.prefill(Uint32Array.of(token), sequence)
      return difference(
        logits!,
        expected.logits.subarray(position * logits!.length, (position + 1) * logits!.length),
      )
    })
    const rows = model.config.kvHeads * expected.tokens.length * model.config.headDim
    for (let layer = 0; layer < model.config.layers; layer++) {
      const stored = storedRows(cache, layer, sequence)
      differences.push(
        difference(stored.subarray(0, rows), expected.keys.subarray(layer * rows, (layer + 1) * rows)),
      )
      differences.push(
        difference(stored.subarray(rows), expected.values.subarray(layer * rows, (layer + 1) * rows)),
      )
    }
    const worst = Math.max(...differences)
    t.diagnostic(`largest difference relative to scale ${worst.toExponential(2)}`)
    assert.ok(worst <= tolerance, `${worst}`)
  })
}

/** The largest difference, relative to the largest expected number. */
function difference(found: Float32Array, expected: Float32Array): number {
  assert.equal(found.length, expected.length)
  const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
  return found.reduce((largest, value, index) => {
    const distance = Math.abs(value - expected[index]!) / scale
    return Math.max(largest, distance)
  }, 0)
}

function readExpected(name: string, { config }: LlamaModel) {
  const folder = fixturePath(name)
  const { tokens } = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8")) as { tokens: number[] }
  const file = openSafetensors(join(folder, "expected.safetensors"))
  try {
    const rows = [config.layers, config.kvHeads, tokens.length, config.headDim]
    return {
      tokens,
      logits: file.read("logits", [tokens.length, config.vocabSize]),
      keys: file.read("keys", rows),
      values: file.read("values", rows),
    }
  } finally {
    file.close()
  }
}
