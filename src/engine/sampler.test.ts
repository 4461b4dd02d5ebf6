import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { sampleToken, uniform } from "./sampler.ts"
import { threefry } from "./threefry.ts"

const plain = { temperature: 1, topP: 1, seed: 42 }

test("threefry() gives the published values", () => {
  // Random123, tests/kat_vectors: threefry2x32, 20 rounds.
  assert.deepEqual(threefry([0, 0], [0, 0]), [0x6b200159, 0x99ba4efe])
  assert.deepEqual(threefry([-1, -1], [-1, -1]), [0x1cb996fc, 0xbb002be7])
  assert.deepEqual(threefry([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3]), [0xc4923a9c, 0x483df7a0])
})

test("uniform() depends on every part of seed and step, and stays as it is", () => {
  const pairs = [
    [0, 0],
    [1, 0],
    [0, 1],
    [2 ** 32, 0],
    [0, 2 ** 32],
    [-1, 0],
    [Number.MAX_SAFE_INTEGER, 7],
  ] as const
  const values = pairs.map(([seed, step]) => uniform(seed, step))
  assert.equal(new Set(values).size, pairs.length)
  assert.ok(values.every((value) => value >= 0 && value < 1))
  assert.deepEqual(values.slice(0, 2), [0.41845711022987275, 0.7039437263423627])
})

test("uniform() spreads evenly over steps, over seeds, and over pairs of neighbours", () => {
  const count = 20_000
  const bySteps = Array.from({ length: count }, (_, step) => uniform(7, step))
  const bySeeds = Array.from({ length: count }, (_, seed) => uniform(seed, 3))
  for (const values of [bySteps, bySeeds]) {
    // Chi-squared with 99 and 63 degrees of freedom: 5 standard deviations are 169 and 119.
    assert.ok(
      chiSquared(
        values.map((value) => Math.floor(value * 100)),
        100,
      ) < 169,
    )
    const neighbours = values
      .slice(1)
      .map((value, index) => Math.floor(value * 8) * 8 + Math.floor(values[index]! * 8))
    assert.ok(chiSquared(neighbours, 64) < 119)
  }
})

test("temperature 0 takes the largest logit, and the lowest id of equals", () => {
  const greedy = { ...plain, temperature: 0 }
  assert.equal(sampleToken(Float32Array.of(1, 3, 2, 3), greedy, 0), 1)
  assert.equal(sampleToken(Float32Array.of(-5), greedy, 9), 0)
  fc.assert(
    fc.property(fc.float32Array({ minLength: 1, noNaN: true, noDefaultInfinity: true }), (logits) => {
      assert.equal(sampleToken(logits, greedy, 0), logits.indexOf(logits.reduce((a, b) => Math.max(a, b))))
    }),
  )
})

test("tokens are drawn as often as the softmax of their logits says", () => {
  for (const temperature of [0.5, 1, 2]) {
    const logits = Float32Array.of(0, 1, 2, 0.5, -3)
    const expected = softmax(logits, temperature)
    const drawn = frequencies(logits, { ...plain, temperature })
    for (const [token, share] of expected.entries()) assert.ok(Math.abs(drawn[token]! - share) < 0.015)
  }
})

test("top-p keeps the fewest most likely tokens that reach the share, and their proportions", () => {
  const logits = Float32Array.from([0.1, 0.4, 0.2, 0.3].map(Math.log))
  const kept = (topP: number) => frequencies(logits, { ...plain, topP })
  assert.deepEqual(kept(0.3), [0, 1, 0, 0])
  const [none, first, zero, second] = kept(0.6)
  assert.deepEqual([none, zero], [0, 0])
  assert.ok(Math.abs(first! - 4 / 7) < 0.015 && Math.abs(second! - 3 / 7) < 0.015)
  assert.equal(kept(0.85)[0], 0)
  assert.ok(kept(0.99)[0]! > 0.08)
})

test("the same seed, step and logits give the same token; another seed gives others", () => {
  const logits = Float32Array.from({ length: 50 }, (_, index) => Math.sin(index))
  const draw = (seed: number) =>
    Array.from({ length: 30 }, (_, step) => sampleToken(logits, { ...plain, seed }, step))
  assert.deepEqual(draw(1), draw(1))
  assert.notDeepEqual(draw(1), draw(2))
})

test("every draw is a token of the vocabulary, at the edges of all options too", () => {
  const options = fc.record({
    temperature: fc.oneof(fc.constant(0), fc.double({ min: 1e-300, max: 1e3, noNaN: true })),
    topP: fc.double({ min: 1e-300, max: 1, noNaN: true }),
    seed: fc.maxSafeInteger(),
  })
  const logits = fc.float32Array({ minLength: 1, maxLength: 50, noNaN: true, noDefaultInfinity: true })
  fc.assert(
    fc.property(logits, options, fc.maxSafeNat(), (values, chosen, step) => {
      const token = sampleToken(values, chosen, step)
      assert.ok(Number.isInteger(token) && token >= 0 && token < values.length)
    }),
  )
})

test("a logit that is no finite number is an error that says which", () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    for (const temperature of [0, 1]) {
      assert.throws(
        () => sampleToken(Float32Array.of(1, 2, bad, bad), { ...plain, temperature }, 0),
        (error) =>
          error instanceof KvError &&
          error.code === "KV_MODEL_INVALID" &&
          error.what === `2 of 4 logits are not finite numbers; that of token 2 is ${bad}`,
      )
    }
  }
})

test("options that make no sense are refused by name", () => {
  const wrong = [
    { temperature: -1 },
    { temperature: Number.NaN },
    { temperature: Number.POSITIVE_INFINITY },
    { topP: 0 },
    { topP: 1.1 },
    { topP: Number.NaN },
    { seed: 0.5 },
    { seed: 2 ** 53 },
  ]
  for (const change of wrong) {
    assert.throws(
      () => sampleToken(Float32Array.of(1), { ...plain, ...change }, 0),
      (error) => error instanceof KvError && error.code === "KV_REQUEST_INVALID",
    )
  }
})

function frequencies(logits: Float32Array, options: typeof plain): number[] {
  const count = 10_000
  const counts = new Array<number>(logits.length).fill(0)
  for (let step = 0; step < count; step++) counts[sampleToken(logits, options, step)]! += 1
  return counts.map((drawn) => drawn / count)
}

function softmax(logits: Float32Array, temperature: number): number[] {
  const weights = Array.from(logits, (logit) => Math.exp(logit / temperature))
  const total = weights.reduce((sum, weight) => sum + weight)
  return weights.map((weight) => weight / total)
}

function chiSquared(values: readonly number[], kinds: number): number {
  const counts = new Array<number>(kinds).fill(0)
  for (const value of values) counts[value]! += 1
  const expected = values.length / kinds
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
}
