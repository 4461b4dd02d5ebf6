import { familyHead, sampleLine } from "./exposition.ts"
import { type LabelChoice, LabelSets, type LabelValues } from "./label-sets.ts"
import type { MetricFamily, MetricText } from "./metric-family.ts"

/** A number that goes up and down, one per label set. */
export class Gauge<L extends LabelValues> implements MetricFamily {
  readonly name: string
  readonly #help: string
  readonly #sets: LabelSets<L>
  readonly #values: Float64Array

  constructor({ name, help }: MetricText, labels: L) {
    this.name = name
    this.#help = help
    this.#sets = new LabelSets(labels)
    this.#values = new Float64Array(this.#sets.size)
  }

  /** Sets the number. */
  set(choice: LabelChoice<L>, value: number): void {
    this.#values[this.#sets.indexOf(choice)] = value
  }

  /** Adds `amount`, which may be below 0. */
  add(choice: LabelChoice<L>, amount: number): void {
    this.#values[this.#sets.indexOf(choice)]! += amount
  }

  /** The number now. */
  value(choice: LabelChoice<L>): number {
    return this.#values[this.#sets.indexOf(choice)]!
  }

  lines(): string[] {
    const samples = Array.from(this.#values, (value, index) =>
      sampleLine(this.name, this.#sets.pairs(index), value),
    )
    return [...familyHead(this.name, this.#help, "gauge"), ...samples]
  }
}

/** A gauge without labels whose number is asked for when somebody reads it. */
export class ReadGauge implements MetricFamily {
  readonly name: string
  readonly #help: string
  readonly #read: () => number

  constructor({ name, help }: MetricText, read: () => number) {
    this.name = name
    this.#help = help
    this.#read = read
  }

  lines(): string[] {
    return [...familyHead(this.name, this.#help, "gauge"), sampleLine(this.name, [], this.#read())]
  }
}
