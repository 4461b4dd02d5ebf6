/**
 * A source of numbers that one seed decides: sfc32, after its state was spread by splitmix32.
 *
 * `fork` makes a source of its own for each concern, so that one more draw here changes nothing there.
 * @see Chris Doty-Humphrey, PractRand: sfc32.
 */
export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    const next = splitMix(seed)
    this.#a = next()
    this.#b = next()
    this.#c = next()
    for (let i = 0; i < 12; i++) this.uint32()
  }

  uint32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** A number from 0 up to, and without, 1. */
  unit(): number {
    return this.uint32() / 2 ** 32
  }

  /** A whole number from 0 up to, and without, `end`. */
  below(end: number): number {
    return Math.floor(this.unit() * end)
  }

  /** A whole number from `first` to `last`, both possible. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1)
  }

  /** A time between two times, in whole microseconds. In milliseconds. */
  millis(least: number, most: number): number {
    return least + Math.round(this.unit() * (most - least) * 1000) / 1000
  }

  chance(probability: number): boolean {
    return this.unit() < probability
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  /** A new list with the same members in any order. */
  shuffled<T>(list: readonly T[]): T[] {
    const result = [...list]
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const held = result[i]!
      result[i] = result[j]!
      result[j] = held
    }
    return result
  }

  /** A source whose numbers are decided by this one's next number. */
  fork(): Random {
    return new Random(this.uint32())
  }
}

/** Spreads a seed over 32-bit words: seeds that are neighbours share nothing. The upper half of a seed counts too. */
function splitMix(seed: number): () => number {
  let state = (seed ^ Math.imul(Math.floor(seed / 2 ** 32), 0x85ebca6b)) | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let word = state ^ (state >>> 16)
    word = Math.imul(word, 0x21f0aaad)
    word ^= word >>> 15
    word = Math.imul(word, 0x735a2d97)
    return (word ^ (word >>> 15)) | 0
  }
}
