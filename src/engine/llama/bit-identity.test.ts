import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import fc from "fast-check"
import type { KvOrder } from "../../kv/kv-layout.ts"
import { storedRows, testCache, testSequence, testTokens } from "../support-for-tests.ts"
import { openLlama } from "./open-llama.ts"
import { randomLlama } from "./random-llama.ts"
import type { LlamaModel } from "./weights.ts"

const lengths = [1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 64, 65, 100]
const chunks = [1, 2, 3, 5, 7, 16, 64]

interface Way {
  readonly chunk: number
  readonly order: KvOrder
  readonly blockTokens: number
  readonly scattered: boolean
  readonly fill: number
}

/** Computes a prompt in one way, then decodes 3 tokens, and returns the bits of everything that can be seen. */
function bitsOf(model: LlamaModel, prompt: Uint32Array, way: Way): Uint32Array {
  const cache = testCache(model.info, way)
  const sequence = testSequence(cache, way.scattered)
  const engine = openLlama(model, cache)
  const seen: Float32Array[] = []
  for (let done = 0; done < prompt.length; done += way.chunk) {
    const logits = engine.prefill(prompt.subarray(done, done + way.chunk), sequence)
    if (done + way.chunk >= prompt.length) seen.push(logits!.slice())
  }
  for (const token of [3, 1, 4]) seen.push(engine.decodeStep(token, sequence).slice())
  for (let layer = 0; layer < model.config.layers; layer++) seen.push(storedRows(cache, layer, sequence))
  return Uint32Array.from(seen.flatMap((part) => [...new Uint32Array(part.buffer)]))
}

const whole: Way = { chunk: 1_000, order: "head-major", blockTokens: 16, scattered: false, fill: 0 }

const models = {
  "the small default": randomLlama({ seed: 7 }),
  "own keys for every head, biases, an odd vocabulary": randomLlama({
    seed: 8,
    layers: 1,
    heads: 3,
    kvHeads: 3,
    headDim: 24,
    vocabSize: 259,
    tiedEmbeddings: false,
    attentionBias: true,
    mlpBias: true,
  }),
}

for (const [name, model] of Object.entries(models)) {
  for (const length of lengths) {
    test(`${length} tokens give the same bits in chunks of any size (${name})`, () => {
      const prompt = testTokens(length, model.config.vocabSize)
      const expected = bitsOf(model, prompt, whole)
      for (const chunk of chunks)
        assert.deepEqual(bitsOf(model, prompt, { ...whole, chunk }), expected, `${chunk}`)
    })
  }

  test(`a cache gives the same bits in any order, block size and table, whatever it held before (${name})`, () => {
    const prompt = testTokens(100, model.config.vocabSize)
    const expected = bitsOf(model, prompt, whole)
    for (const order of ["head-major", "token-major"] as const) {
      for (const blockTokens of [1, 3, 8, 16, 32]) {
        for (const chunk of [7, 1_000]) {
          const way = { chunk, order, blockTokens, scattered: true, fill: Number.NaN }
          assert.deepEqual(bitsOf(model, prompt, way), expected, JSON.stringify(way))
        }
      }
    }
  })
}

test("a prompt decoded token by token gives the same bits as its prefill", () => {
  const model = models["the small default"]
  const prompt = testTokens(50, model.config.vocabSize)
  const [prefilled, decoded] = [testCache(model.info), testCache(model.info)]
  const whole = openLlama(model, prefilled).prefill(prompt, testSequence(prefilled))
  const engine = openLlama(model, decoded)
  const sequence = testSequence(decoded, true)
  let last: Float32Array | undefined
  for (const token of prompt) last = engine.decodeStep(token, sequence)
  assert.deepEqual(last, whole)
})

test("sequences that take turns do not touch each other's bits", () => {
  const model = models["the small default"]
  const cache = testCache(model.info)
  const engine = openLlama(model, cache)
  const alone = [1, 2].map((seed) => {
    const sequence = { blocks: Uint32Array.of(0, 1, 2), tokens: 0 }
    engine.prefill(testTokens(20, 320, seed), sequence)
    return [5, 6, 7].map((token) => engine.decodeStep(token, sequence).slice())
  })
  const together = [1, 2].map((seed) => {
    const sequence = { blocks: Uint32Array.of(seed * 3, seed * 3 + 1, seed * 3 + 2), tokens: 0 }
    engine.prefill(testTokens(20, 320, seed), sequence)
    return sequence
  })
  const turns = [5, 6, 7].map((token) =>
    together.map((sequence) => engine.decodeStep(token, sequence).slice()),
  )
  assert.deepEqual(
    turns,
    [0, 1, 2].map((step) => alone.map((logits) => logits[step])),
  )
})

test("logits depend on every token, and on the order of the blocks' contents", () => {
  const model = models["the small default"]
  const prompt = testTokens(40, 320)
  const expected = bitsOf(model, prompt, whole)
  for (const position of [0, 15, 16, 39]) {
    const other = prompt.slice()
    other[position] = (other[position]! + 1) % 320
    assert.notDeepEqual(bitsOf(model, other, whole), expected)
  }
})

test("however a prompt is cut, between prefill and decode too, the bits stay the same", () => {
  const model = models["the small default"]
  const prompt = testTokens(90, 320)
  const cache = testCache(model.info)
  const engine = openLlama(model, cache)
  const run = (cuts: readonly number[]): Float32Array => {
    const sequence = testSequence(cache, true)
    let last: Float32Array | undefined
    for (const [index, end] of [...cuts, prompt.length].entries()) {
      const part = prompt.subarray(sequence.tokens, end)
      // Every other single token goes the way of decode.
      last =
        part.length === 1 && index % 2 === 0
          ? engine.decodeStep(part[0]!, sequence)
          : engine.prefill(part, sequence)
    }
    return last!.slice()
  }
  const expected = run([])
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 89 })).map((places) => places.sort((a, b) => a - b))
  fc.assert(fc.property(cuts, (places) => assert.deepEqual(run(places), expected)))
})

test("the bits are the same on every machine and every version of Node", () => {
  const bits = Object.values(models).map((model) =>
    bitsOf(model, testTokens(100, model.config.vocabSize), whole),
  )
  const hashes = bits.map((each) => createHash("sha256").update(each).digest("hex").slice(0, 16))
  assert.deepEqual(hashes, ["c9fd278790de4993", "2f2fb6bfe5e6ca52"])
})
