/** The middle and the ends of a sample. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/**
 * How many times faster `fast` was than `slow`, round by round: rounds that only one of them took part in do not count.
 * Undefined when no round is left.
 */
export function speedRatio(
  fast: readonly (number | null)[],
  slow: readonly (number | null)[],
): Spread | undefined {
  const ratios = fast.flatMap((time, round) => {
    const other = slow[round]
    return time === null || other === null || other === undefined ? [] : [other / time]
  })
  return ratios.length === 0 ? undefined : spreadOf(ratios)
}

/** @throws RangeError for an empty sample. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = inOrder(values)
  return { median: quantile(sorted, 0.5), min: sorted[0]!, max: sorted.at(-1)! }
}

/** The value below which `share` of the sample lies (nearest rank; the middle of two for the median). */
export function quantileOf(values: readonly number[], share: number): number {
  return quantile(inOrder(values), share)
}

function inOrder(values: readonly number[]): number[] {
  if (values.length === 0) throw new RangeError("an empty sample has no middle")
  return [...values].sort((a, b) => a - b)
}

function quantile(sorted: readonly number[], share: number): number {
  if (share === 0.5) {
    return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.floor(sorted.length / 2)]!) / 2
  }
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!
}
