import assert from "node:assert/strict"
import { test } from "node:test"
import { Random } from "../random.ts"
import { medianInterval, pairedSpeedRatios } from "./intervals.ts"

test("an interval holds its median, and is the same for a seed", () => {
  const values = [1.0, 1.1, 0.9, 1.05, 0.95, 1.2, 1.02]
  const { median, low, high } = medianInterval(values, 42)
  assert.equal(median, 1.02)
  assert.ok(low < median && median < high)
  assert.deepEqual(medianInterval(values, 42), medianInterval(values, 42))
})

test("noise widens it, and one value has none", () => {
  const width = (spread: number) => {
    const random = new Random(1)
    const values = Array.from({ length: 11 }, () => 1 + (spread * (random.below(2001) - 1000)) / 1000)
    const { low, high } = medianInterval(values, 42)
    return high - low
  }
  assert.ok(width(0.2) > 5 * width(0.02))
  assert.deepEqual(medianInterval([3], 42), { median: 3, low: 3, high: 3 })
})

test("95 of 100 intervals hold the true median, give or take", () => {
  const random = new Random(7)
  let held = 0
  for (let run = 0; run < 100; run++) {
    const values = Array.from({ length: 11 }, () => random.below(1_000_001) / 1_000_000)
    const { low, high } = medianInterval(values, run)
    if (low <= 0.5 && high >= 0.5) held += 1
  }
  assert.ok(held >= 88, `${held} of 100`)
})

test("only rounds that both took part in are pairs", () => {
  assert.deepEqual(pairedSpeedRatios([10, null, 5], [20, 30, null]), [2])
})
