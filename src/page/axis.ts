/** An axis of a plot: where a value stands, and the values that are written beside it. */
export interface Axis {
  readonly ticks: readonly number[]
  at(value: number): number
}

/**
 * A logarithmic axis over `values`, which are above 0, drawn from `from` to `to`.
 *
 * Its ends are powers of ten around the values, and so are its ticks.
 */
export function logAxis(values: readonly number[], from: number, to: number): Axis {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i))
  return { ticks, at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from) }
}

/** A logarithmic axis that ends at the next step of 1, 2, 5 around the values: for values near each other. */
export function tightLogAxis(values: readonly number[], from: number, to: number): Axis {
  const steps = stepsAround(Math.min(...values), Math.max(...values))
  const [low, high] = [Math.log10(steps[0]!), Math.log10(steps.at(-1)!)]
  return { ticks: steps, at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from) }
}

/** A linear axis from 0 to a round number at or above `max`, with four to six ticks. */
export function linearAxis(max: number, from: number, to: number): Axis {
  const step = roundStep(max / 5)
  const count = Math.max(1, Math.ceil(max / step - 1e-9))
  const end = step * count
  const ticks = Array.from({ length: count + 1 }, (_, i) => Number((step * i).toPrecision(12)))
  return { ticks, at: (value) => from + (value / end) * (to - from) }
}

/** At most seven steps: every power of ten where there are many, else 1, 2 and 5. */
function stepsAround(min: number, max: number): number[] {
  const first = Math.floor(Math.log10(min))
  const decades = Math.ceil(Math.log10(max)) - first + 1
  const all = Array.from({ length: decades + 1 }, (_, i) => 10 ** (first + i)).flatMap((ten) =>
    (decades > 3 ? [1] : [1, 2, 5]).map((step) => Number((step * ten).toPrecision(12))),
  )
  const below = all.filter((step) => step <= min).at(-1) ?? all[0]!
  const above = all.find((step) => step >= max && step > below) ?? all.at(-1)!
  return all.filter((step) => step >= below && step <= above)
}

/** The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `step`. */
function roundStep(step: number): number {
  const ten = 10 ** Math.floor(Math.log10(step))
  return [1, 2, 2.5, 5, 10].map((factor) => factor * ten).find((round) => round >= step * (1 - 1e-9))!
}
