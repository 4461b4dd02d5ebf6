import assert from "node:assert/strict"
import { test } from "node:test"
import type { KvErrorCode } from "../../errors/codes.ts"
import { KvError } from "../../errors/kv-error.ts"
import { testCache, testSequence, testTokens } from "../support-for-tests.ts"
import { openLlama } from "./open-llama.ts"
import { randomLlama } from "./random-llama.ts"

const model = randomLlama({ seed: 3, contextTokens: 256 })

function open() {
  const cache = testCache(model.info)
  return { cache, engine: openLlama(model, cache), sequence: testSequence(cache) }
}

test("prefill tells its progress between chunks, and can be stopped there", () => {
  const { engine, sequence } = open()
  const seen: number[] = []
  const onProgress = (done: number) => seen.push(done) < 2
  assert.equal(engine.prefill(testTokens(200, 320), sequence, { onProgress }), undefined)
  assert.deepEqual(seen, [64, 128])
  assert.equal(sequence.tokens, 128)
  assert.deepEqual(engine.counters, { promptTokens: 128, decodeTokens: 0 })
})

test("progress is not told when there is nothing left to stop", () => {
  const { engine, sequence } = open()
  const onProgress = () => assert.fail("a prompt of one chunk has no pause")
  assert.notEqual(engine.prefill(testTokens(64, 320), sequence, { onProgress }), undefined)
})

test("a prefill that was stopped can be continued to the same bits", () => {
  const [whole, parts] = [open(), open()]
  const prompt = testTokens(150, 320)
  parts.engine.prefill(prompt, parts.sequence, { onProgress: () => false })
  const rest = parts.engine.prefill(prompt.subarray(parts.sequence.tokens), parts.sequence)
  assert.deepEqual(rest, whole.engine.prefill(prompt, whole.sequence))
})

test("prompt and decode tokens are counted apart", () => {
  const { engine, sequence } = open()
  engine.prefill(testTokens(5, 320), sequence)
  engine.decodeStep(1, sequence)
  engine.decodeStep(2, sequence)
  assert.deepEqual(engine.counters, { promptTokens: 5, decodeTokens: 2 })
  assert.equal(sequence.tokens, 7)
  engine.release(sequence)
  assert.equal(sequence.tokens, 0)
})

test("a call that is refused says why and changes nothing", () => {
  const { engine, cache, sequence } = open()
  const blocks = (...ids: number[]) => ({ blocks: Uint32Array.from(ids), tokens: 0 })
  const before = cache.layers.map((layer) => layer.slice())
  const long = { blocks: sequence.blocks, tokens: 250 }
  refuses(() => engine.prefill(new Uint32Array(0), sequence), "KV_PROMPT_INVALID", /no tokens/)
  refuses(
    () => engine.prefill(Uint32Array.of(1, 320), sequence),
    "KV_PROMPT_INVALID",
    /token 1 is 320; .* 0 to 319/,
  )
  refuses(() => engine.decodeStep(-1, sequence), "KV_PROMPT_INVALID", /token 0 is -1/)
  refuses(() => engine.decodeStep(1.5, sequence), "KV_PROMPT_INVALID", /token 0 is 1\.5/)
  refuses(
    () => engine.prefill(testTokens(7, 320), long),
    "KV_PROMPT_TOO_LONG",
    /250 tokens and 7 more are 257/,
  )
  refuses(() => engine.prefill(testTokens(17, 320), blocks(0)), "KV_REGION_BOUNDS", /17 tokens need 2 blocks/)
  refuses(
    () => engine.prefill(testTokens(17, 320), blocks(0, 23)),
    "KV_REGION_BOUNDS",
    /block 23 at position 1.*0 to 22/,
  )
  refuses(
    () => engine.decodeStep(1, { blocks: sequence.blocks, tokens: -1 }),
    "KV_REGION_BOUNDS",
    /holds -1 tokens/,
  )
  refuses(() => engine.decodeStep(1, { blocks: sequence.blocks, tokens: 0.5 }), "KV_REGION_BOUNDS", /0\.5/)
  assert.deepEqual(cache.layers, before)
  assert.deepEqual(engine.counters, { promptTokens: 0, decodeTokens: 0 })
  assert.equal(long.tokens, 250)
})

test("only blocks that the tokens need are looked at", () => {
  const { engine } = open()
  assert.notEqual(
    engine.prefill(testTokens(16, 320), { blocks: Uint32Array.of(3, 99), tokens: 0 }),
    undefined,
  )
})

test("an engine writes to the blocks of its sequence and nowhere else", () => {
  const { engine, cache } = open()
  for (const layer of cache.layers) layer.fill(Number.NaN)
  engine.prefill(testTokens(33, 320), { blocks: Uint32Array.of(5, 2, 9), tokens: 0 })
  const blockFloats = cache.layers[0]!.length / cache.layout.blocks
  for (const layer of cache.layers) {
    const touched = Array.from({ length: cache.layout.blocks }, (_, block) => block).filter(
      (block) => !layer.subarray(block * blockFloats, (block + 1) * blockFloats).every(Number.isNaN),
    )
    assert.deepEqual(touched, [2, 5, 9])
  }
})

test("a cache of another shape is refused", () => {
  const { cache } = open()
  const { layout, layers } = cache
  const shaped = (change: object) => ({
    layers,
    layout: { ...layout, shape: { ...layout.shape, ...change } },
  })
  const refused = [
    { cache: shaped({ layers: 3 }), says: /layers are 3, the model has 2/ },
    { cache: shaped({ headDim: 32 }), says: /numbers per head are 32/ },
    { cache: shaped({ elementBytes: 2 }), says: /bytes per number are 2/ },
    { cache: { layers, layout: { ...layout, heads: 2 } }, says: /heads on this side are 2/ },
    { cache: { layout, layers: layers.slice(1) }, says: /layer regions are 1/ },
    { cache: { layout, layers: layers.map((layer) => layer.subarray(1)) }, says: /numbers in layer 0/ },
    { cache: { layers, layout: { ...layout, blockTokens: 0 } }, says: /blockTokens is 0/ },
  ]
  for (const { cache: wrong, says } of refused) {
    refuses(() => openLlama(model, wrong), "KV_PLAN_IMPOSSIBLE", says)
  }
})

test("a damaged cache shows in the logits", () => {
  const { engine, cache, sequence } = open()
  engine.prefill(testTokens(40, 320), sequence)
  const expected = engine.decodeStep(1, sequence).slice()
  sequence.tokens -= 1
  const at = cache.layers[1]!.findIndex((value) => value !== 0)
  cache.layers[1]![at]! += 1e-3
  assert.notDeepEqual(engine.decodeStep(1, sequence), expected)
})

function refuses(act: () => unknown, code: KvErrorCode, says: RegExp): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof KvError && error.code === code, String(error))
    assert.match(error.message, says)
    return true
  })
}
