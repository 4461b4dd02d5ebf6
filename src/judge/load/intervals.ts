import { quantileOf } from "../../bench/statistics.ts"
import { Random } from "../random.ts"

/** A middle with its 95 % interval. */
export interface Interval {
  readonly median: number
  readonly low: number
  readonly high: number
}

const resamples = 2000
const [lowShare, highShare] = [0.025, 0.975]

/**
 * The fewest values that an interval of 95 % can be told of: the least and the greatest of n have the median between them in
 * 1 - 2^(1-n) of all cases, which is 94 % for five, and 97 % for six.
 */
export const roundsForInterval = 6

/**
 * The median of a sample and its 95 % interval: the bootstrap's percentiles, always the same ones for a seed.
 *
 * One value has no interval but itself. @throws RangeError for an empty sample.
 */
export function medianInterval(values: readonly number[], seed: number): Interval {
  const medians = resampledMedians(values, seed)
  return {
    median: quantileOf(values, 0.5),
    low: quantileOf(medians, lowShare),
    high: quantileOf(medians, highShare),
  }
}

/** Medians of samples that are drawn from a sample with replacement, for whoever compares two of them. */
export function resampledMedians(values: readonly number[], seed: number): number[] {
  const random = new Random(seed)
  return Array.from({ length: resamples }, () =>
    quantileOf(
      values.map(() => random.pick(values)),
      0.5,
    ),
  )
}

/** How many times as fast `fast` was as `slow` in each round that both took part in. Times in, ratios out. */
export function pairedSpeedRatios(
  fast: readonly (number | null)[],
  slow: readonly (number | null)[],
): number[] {
  return fast.flatMap((time, round) => {
    const other = slow[round]
    return time === null || other === null || other === undefined ? [] : [other / time]
  })
}
