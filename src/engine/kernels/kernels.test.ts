import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { openKernels } from "./kernels.ts"

const memory = new WebAssembly.Memory({ initial: 32, maximum: 32 })
const floats = new Float32Array(memory.buffer)
const kernels = openKernels(memory)

const fp32 = fc.float({ min: -100, max: 100, noNaN: true })

/** Fills the memory with `values` again and again: every kernel then reads numbers that the test can find again. */
function fill(values: readonly number[]): void {
  for (let index = 0; index < 60_000; index++) floats[index] = values[index % values.length]! + (index % 7)
}

test("products add one term after the other in fp32, whatever rows and panels are beside them", () => {
  const shapes = { product4x1: [4, 1], product1x4: [1, 4], product1x1: [1, 1] } as const
  const numbers = fc.array(fp32, { minLength: 11, maxLength: 29 })
  fc.assert(
    fc.property(
      numbers,
      fc.integer({ min: 0, max: 13 }),
      fc.integer({ min: 0, max: 3 }),
      (values, count, segments) => {
        for (const [name, [rows, panels]] of Object.entries(shapes) as [
          "product1x1",
          readonly [number, number],
        ][]) {
          fill(values)
          const [x, w, out] = [0, 10_000, 50_000]
          const [xRow, wStep, wPanel, outRow, segment] = [100, 9, 2_000, 40, 300]
          const expected = new Map<number, number>()
          for (let row = 0; row < rows; row++) {
            for (let output = 0; output < panels * 8; output++) {
              let sum = floats[out + row * outRow + output]!
              for (let k = 0; k < count * segments; k++) {
                const from =
                  w + Math.floor(k / count) * segment + Math.floor(output / 8) * wPanel + (k % count) * wStep
                const term = Math.fround(floats[x + row * xRow + k]! * floats[from + (output % 8)]!)
                sum = Math.fround(sum + term)
              }
              expected.set(out + row * outRow + output, sum)
            }
          }
          kernels[name](
            x * 4,
            xRow * 4,
            w * 4,
            wStep * 4,
            wPanel * 4,
            out * 4,
            outRow * 4,
            count,
            segments,
            segment * 4,
          )
          for (const [index, sum] of expected) assert.ok(Object.is(floats[index], sum), `${name} at ${index}`)
        }
      },
    ),
    { numRuns: 40 },
  )
})

test("scores add up lanes first, then the lanes, token by token through all blocks", () => {
  fc.assert(
    fc.property(
      fc.array(fp32, { minLength: 11, maxLength: 29 }),
      fc.integer({ min: 1, max: 6 }),
      (values, vectors) => {
        fill(values)
        const [query, keys, out, token, block, groups, blocks] = [0, 10_000, 50_000, 37, 900, 2, 3]
        const expected = Array.from({ length: blocks * groups * 4 }, (_, index) => {
          const key = keys + Math.floor(index / 8) * block + (index % 8) * token
          const lanes = [0, 0, 0, 0]
          for (let number = 0; number < vectors * 4; number++) {
            const term = Math.fround(floats[query + number]! * floats[key + number]!)
            lanes[number % 4] = Math.fround(lanes[number % 4]! + term)
          }
          return Math.fround(Math.fround(lanes[0]! + lanes[1]!) + Math.fround(lanes[2]! + lanes[3]!))
        })
        kernels.scores(
          query * 4,
          vectors,
          keys * 4,
          token * 4,
          groups,
          blocks,
          block * 4,
          out * 4,
          groups * 16,
        )
        for (const [index, score] of expected.entries()) assert.ok(Object.is(floats[out + index], score))
      },
    ),
    { numRuns: 40 },
  )
})

test("softmax is right to a few units of the last place, and exactly 0 for what is masked", () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: -60, max: 60, noNaN: true }), { minLength: 1, maxLength: 40 }),
      (scores) => {
        const vectors = Math.ceil(scores.length / 4)
        floats.fill(Number.NEGATIVE_INFINITY, 0, vectors * 4)
        floats.set(scores)
        kernels.softmax(0, vectors)
        const largest = Math.max(...scores)
        const weights = scores.map((score) => Math.exp(score - largest))
        const total = weights.reduce((sum, weight) => sum + weight)
        for (const [index, weight] of weights.entries()) {
          // Scores far below the largest lose bits when the largest is taken off in fp32.
          assert.ok(Math.abs(floats[index]! - weight / total) <= 1e-5 * (weight / total) + 1e-36)
        }
        for (let index = scores.length; index < vectors * 4; index++) assert.ok(Object.is(floats[index], 0))
      },
    ),
  )
})

test("softmax passes damage on: a NaN among the scores is a NaN in the weights", () => {
  floats.set([1, 2, Number.NaN, 3])
  kernels.softmax(0, 1)
  assert.ok(floats.subarray(0, 4).some(Number.isNaN))
})

test("the gated activation follows x / (1 + e^-x) over the whole range", () => {
  const inputs = [-1e30, -200, -88, -20, -3, -0.5, -1e-6, 0, 1e-6, 0.5, 3, 20, 88, 200, 1e30, Number.NaN]
  floats.set(inputs)
  floats.fill(2, 100, 100 + inputs.length)
  kernels.swiglu(0, 400, inputs.length / 4)
  for (const [index, x] of inputs.entries()) {
    const expected = (x / (1 + Math.exp(-x))) * 2
    if (Number.isNaN(expected)) assert.ok(Number.isNaN(floats[index]))
    else assert.ok(Math.abs(floats[index]! - expected) <= Math.abs(expected) * 1e-6 + 1e-7, `${x}`)
  }
})
