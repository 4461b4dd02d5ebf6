import { assert } from "../errors/assert.ts"
import { familyHead, formatNumber, sampleLine } from "./exposition.ts"
import { type LabelChoice, LabelSets, type LabelValues } from "./label-sets.ts"
import type { MetricFamily, MetricText } from "./metric-family.ts"

/** Counts values into classic buckets, one row of buckets per label set. */
export class Histogram<L extends LabelValues> implements MetricFamily {
  readonly name: string
  readonly #help: string
  readonly #sets: LabelSets<L>
  readonly #bounds: readonly number[]
  /** Per series: one count for each bound and one for everything above. Not cumulative until printed. */
  readonly #counts: Float64Array
  readonly #sums: Float64Array

  constructor({ name, help }: MetricText, labels: L, bounds: readonly number[]) {
    assert(bounds.length > 0, `${name} needs at least one bucket`)
    assert(
      bounds.every((bound, at) => Number.isFinite(bound) && (at === 0 || bound > bounds[at - 1]!)),
      `the buckets of ${name} are finite and grow: ${bounds.join(", ")}`,
    )
    this.name = name
    this.#help = help
    this.#sets = new LabelSets(labels)
    this.#bounds = bounds
    this.#counts = new Float64Array(this.#sets.size * (bounds.length + 1))
    this.#sums = new Float64Array(this.#sets.size)
  }

  /** Counts one value. A value equal to a bound belongs to that bound's bucket. */
  observe(choice: LabelChoice<L>, value: number): void {
    const series = this.#sets.indexOf(choice)
    this.#counts[series * (this.#bounds.length + 1) + this.#bucketOf(value)]! += 1
    this.#sums[series]! += value
  }

  lines(): string[] {
    const lines = familyHead(this.name, this.#help, "histogram")
    for (let series = 0; series < this.#sets.size; series++) lines.push(...this.#seriesLines(series))
    return lines
  }

  #bucketOf(value: number): number {
    const at = this.#bounds.findIndex((bound) => value <= bound)
    return at === -1 ? this.#bounds.length : at
  }

  #seriesLines(series: number): string[] {
    const pairs = this.#sets.pairs(series)
    const first = series * (this.#bounds.length + 1)
    let total = 0
    const buckets = [...this.#bounds, Number.POSITIVE_INFINITY].map((bound, at) => {
      total += this.#counts[first + at]!
      return sampleLine(`${this.name}_bucket`, [...pairs, ["le", formatNumber(bound)]], total)
    })
    return [
      ...buckets,
      sampleLine(`${this.name}_sum`, pairs, this.#sums[series]!),
      sampleLine(`${this.name}_count`, pairs, total),
    ]
  }
}

/**
 * Bucket bounds in seconds that grow by 1, 2, 5 within each power of ten, from `10 ** from` to `10 ** to`.
 *
 * `secondBuckets(-5, 1)` runs from 10 µs to 10 s.
 */
export function secondBuckets(from: number, to: number): number[] {
  const bounds: number[] = []
  // Number("2e-5") is exactly the double that prints as 0.00002; 2 * 10 ** -5 is not.
  for (let power = from; power < to; power++)
    bounds.push(...[1, 2, 5].map((digit) => Number(`${digit}e${power}`)))
  return [...bounds, Number(`1e${to}`)]
}
