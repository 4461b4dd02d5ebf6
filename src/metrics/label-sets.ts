import { assert } from "../errors/assert.ts"

/** Every value that each label can have: the whole set of series exists from the start and never grows. */
export type LabelValues = Readonly<Record<string, readonly string[]>>

/** One value for each label. */
export type LabelChoice<L extends LabelValues> = { readonly [K in keyof L]: L[K][number] }

const LABEL_NAME = /^[a-zA-Z][a-zA-Z0-9_]*$/

/** The cross product of label values, numbered, so that a series is an index into a typed array. */
export class LabelSets<L extends LabelValues> {
  /** Number of series. */
  readonly size: number
  readonly #names: readonly string[]
  readonly #values: readonly (readonly string[])[]
  readonly #positions: readonly ReadonlyMap<string, number>[]

  constructor(labels: L) {
    this.#names = Object.keys(labels)
    this.#values = Object.values(labels)
    for (const name of this.#names) {
      assert(LABEL_NAME.test(name), `a label name is letters, digits and _, not ${JSON.stringify(name)}`)
      assert(name !== "le", "le belongs to histogram buckets")
    }
    this.#positions = this.#values.map((values) => new Map(values.map((value, index) => [value, index])))
    this.size = this.#values.reduce((product, values) => product * values.length, 1)
  }

  /** The number of the series with these values. A value that was not declared is our mistake. */
  indexOf(choice: LabelChoice<L>): number {
    let index = 0
    for (const [at, name] of this.#names.entries()) {
      const position = this.#positions[at]!.get(choice[name]!)
      assert(position !== undefined, `label ${name} has no declared value ${JSON.stringify(choice[name])}`)
      index = index * this.#values[at]!.length + position
    }
    return index
  }

  /** The labels of a series as name and value, in the declared order. */
  pairs(index: number): (readonly [string, string])[] {
    const pairs: (readonly [string, string])[] = []
    let rest = index
    for (let at = this.#names.length - 1; at >= 0; at--) {
      const values = this.#values[at]!
      pairs.unshift([this.#names[at]!, values[rest % values.length]!])
      rest = Math.floor(rest / values.length)
    }
    return pairs
  }
}
