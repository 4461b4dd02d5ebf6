/**
 * A source of numbers that one seed decides: splitmix32.
 *
 * `fork` makes a source of its own for each concern, so that one more draw here changes nothing there.
 * @see Guy Steele et al., Fast Splittable Pseudorandom Number Generators.
 */
export class Random {
  readonly seed: number
  #state: number

  constructor(seed: number) {
    this.seed = seed >>> 0
    this.#state = this.seed
  }

  uint32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }

  /** A whole number from 0 up to, and without, `end`. */
  below(end: number): number {
    return Math.floor((this.uint32() / 2 ** 32) * end)
  }

  /** A whole number from `first` to `last`, both possible. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1)
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!
  }

  shuffled<Item>(items: readonly Item[]): Item[] {
    const result = [...items]
    for (let i = result.length - 1; i > 0; i--) {
      const other = this.below(i + 1)
      const item = result[i]!
      result[i] = result[other]!
      result[other] = item
    }
    return result
  }

  /** `count` different whole numbers from `first` up to, and without, `end`, in no order. */
  distinct(count: number, first: number, end: number): number[] {
    return this.shuffled(Array.from({ length: end - first }, (_, i) => first + i)).slice(0, count)
  }

  /** A source for one concern: the same name and seed give the same numbers. */
  fork(name: string): Random {
    let hash = this.seed
    for (const char of name) hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193) >>> 0
    return new Random(hash)
  }
}
