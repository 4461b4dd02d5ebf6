import assert from "node:assert/strict"
import { test } from "node:test"
import { sampleToken } from "../sampler.ts"
import { testCache, testSequence, testTokens } from "../support-for-tests.ts"
import { openLlama } from "./open-llama.ts"
import { randomLlama } from "./random-llama.ts"

test("a seed gives the same model on every machine, another seed another one", () => {
  const model = randomLlama({ seed: 1 })
  assert.equal(model.info.fingerprint, "586222c5e3634dffe85c0fb47b7cbdbd")
  assert.equal(randomLlama({ seed: 1, name: "other" }).info.fingerprint, model.info.fingerprint)
  assert.notEqual(randomLlama({ seed: 2 }).info.fingerprint, model.info.fingerprint)
  assert.notEqual(randomLlama({ seed: 1, normEpsilon: 1e-6 }).info.fingerprint, model.info.fingerprint)
})

test("weights are spread as the kind of tensor asks", () => {
  const { weights } = randomLlama({ seed: 5, attentionBias: true, tiedEmbeddings: true })
  const { query, attentionNorm } = weights.layers[0]!
  const mean = (numbers: Float32Array) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length
  const variance = query.weight.reduce((sum, value) => sum + value * value, 0) / query.weight.length
  assert.ok(Math.abs(variance * query.inputs - 1) < 0.05)
  assert.ok(Math.abs(mean(query.weight)) < 0.01)
  assert.ok(Math.abs(mean(attentionNorm) - 1) < 0.1)
  assert.equal(query.bias?.length, query.outputs)
  assert.equal(weights.head.weight, weights.embedding)
})

test("what a model tells of itself follows its configuration", () => {
  const { info } = randomLlama({ seed: 1, layers: 3, vocabSize: 100, endTokens: [7] })
  assert.deepEqual(info.shape, { layers: 3, kvHeads: 4, headDim: 16, elementBytes: 4 })
  assert.deepEqual([info.name, info.vocabSize, info.contextTokens], ["random-1", 100, 512])
  assert.deepEqual(info.endTokens, [7])
})

test("one zeroed block in one layer changes the greedy answer within a few tokens", () => {
  const greedy = { temperature: 0, topP: 1, seed: 0 }
  for (const seed of [1, 2, 3, 4, 5]) {
    const model = randomLlama({ seed })
    const cache = testCache(model.info)
    const engine = openLlama(model, cache)
    const answer = (damage: () => void): number[] => {
      const sequence = testSequence(cache)
      let logits = engine.prefill(testTokens(40, model.config.vocabSize, seed), sequence)!
      damage()
      return Array.from({ length: 12 }, (_, step) => {
        const token = sampleToken(logits, greedy, step)
        logits = engine.decodeStep(token, sequence)
        return token
      })
    }
    const blockFloats = cache.layers[1]!.length / cache.layout.blocks
    const damaged = answer(() => cache.layers[1]!.fill(0, blockFloats, 2 * blockFloats))
    assert.notDeepEqual(
      damaged,
      answer(() => {}),
    )
  }
})
