import assert from "node:assert/strict"
import { test } from "node:test"
import { quantileOf, spreadOf } from "./statistics.ts"

test("a spread has the middle and both ends of a sample, in whatever order it came", () => {
  assert.deepEqual(spreadOf([5, 1, 3]), { median: 3, min: 1, max: 5 })
  assert.deepEqual(spreadOf([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 })
  assert.deepEqual(spreadOf([7]), { median: 7, min: 7, max: 7 })
  assert.throws(() => spreadOf([]), RangeError)
})

test("the 99th percentile is the largest of few values and the last but one of a hundred", () => {
  assert.equal(quantileOf([3, 1, 2], 0.99), 3)
  const hundred = Array.from({ length: 100 }, (_, i) => i)
  assert.equal(quantileOf(hundred, 0.99), 98)
})
