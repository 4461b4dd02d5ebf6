import { assert } from "../errors/assert.ts"
import { Counter } from "./counter.ts"
import { Gauge, ReadGauge } from "./gauge.ts"
import { Histogram } from "./histogram.ts"
import type { LabelValues } from "./label-sets.ts"
import type { MetricFamily, MetricText } from "./metric-family.ts"

const METRIC_NAME = /^kvferry_[a-z0-9]+(_[a-z0-9]+)*$/
const NO_LABELS = {} as const

/**
 * The metrics of one process, written as Prometheus text.
 *
 * Every series is declared with all of its label values, so a dashboard sees zeros before the first event
 * and no request can make the set grow.
 */
export class Registry {
  readonly #families = new Map<string, MetricFamily>()

  /** A number that only grows. */
  counter(text: MetricText): Counter<typeof NO_LABELS>
  counter<const L extends LabelValues>(text: MetricText, labels: L): Counter<L>
  counter(text: MetricText, labels: LabelValues = NO_LABELS): Counter<LabelValues> {
    return this.#keep(new Counter(text, labels))
  }

  /** A number that goes up and down. */
  gauge(text: MetricText): Gauge<typeof NO_LABELS>
  gauge<const L extends LabelValues>(text: MetricText, labels: L): Gauge<L>
  gauge(text: MetricText, labels: LabelValues = NO_LABELS): Gauge<LabelValues> {
    return this.#keep(new Gauge(text, labels))
  }

  /** A gauge whose number is asked for at each read. */
  readGauge(text: MetricText, read: () => number): ReadGauge {
    return this.#keep(new ReadGauge(text, read))
  }

  /** A distribution over `bounds`, which grow and are in the unit that the name ends with. */
  histogram(text: MetricText, bounds: readonly number[]): Histogram<typeof NO_LABELS>
  histogram<const L extends LabelValues>(text: MetricText, bounds: readonly number[], labels: L): Histogram<L>
  histogram(
    text: MetricText,
    bounds: readonly number[],
    labels: LabelValues = NO_LABELS,
  ): Histogram<LabelValues> {
    return this.#keep(new Histogram(text, labels, bounds))
  }

  /** Everything in the Prometheus text format, families in the order of their names. */
  text(): string {
    const families = [...this.#families.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
    return `${families.flatMap((family) => family.lines()).join("\n")}\n`
  }

  #keep<F extends MetricFamily>(family: F): F {
    assert(METRIC_NAME.test(family.name), `a metric's name is kvferry_ and lower case: ${family.name}`)
    assert(!this.#families.has(family.name), `${family.name} is declared once`)
    this.#families.set(family.name, family)
    return family
  }
}
