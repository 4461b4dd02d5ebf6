import { assert } from "../errors/assert.ts"
import { familyHead, sampleLine } from "./exposition.ts"
import { type LabelChoice, LabelSets, type LabelValues } from "./label-sets.ts"
import type { MetricFamily, MetricText } from "./metric-family.ts"

/** A number that only grows, one per label set, each there from the start at 0. */
export class Counter<L extends LabelValues> implements MetricFamily {
  readonly name: string
  readonly #help: string
  readonly #sets: LabelSets<L>
  readonly #values: Float64Array

  constructor({ name, help }: MetricText, labels: L) {
    assert(name.endsWith("_total"), `a counter's name ends in _total: ${name}`)
    this.name = name
    this.#help = help
    this.#sets = new LabelSets(labels)
    this.#values = new Float64Array(this.#sets.size)
  }

  /** Adds `amount`, which is 0 or more. */
  add(choice: LabelChoice<L>, amount = 1): void {
    assert(amount >= 0, `${this.name} only grows: ${amount}`)
    this.#values[this.#sets.indexOf(choice)]! += amount
  }

  /** What was counted so far. */
  value(choice: LabelChoice<L>): number {
    return this.#values[this.#sets.indexOf(choice)]!
  }

  lines(): string[] {
    const samples = Array.from(this.#values, (value, index) =>
      sampleLine(this.name, this.#sets.pairs(index), value),
    )
    return [...familyHead(this.name, this.#help, "counter"), ...samples]
  }
}
