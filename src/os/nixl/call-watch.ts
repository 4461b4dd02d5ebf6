/**
 * Says from another thread whether a thread is inside the library, and for how long: NIXL has calls that spin for ever.
 *
 * Two words: how many calls have begun and ended, so that it is odd inside one; and which function was called last.
 */
export class CallWatch {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array<SharedArrayBuffer>
  #seen = 0
  #since = 0

  constructor(buffer = new SharedArrayBuffer(8)) {
    this.buffer = buffer
    this.#words = new Int32Array(buffer)
  }

  /** Makes a function tell this watch that it was entered and left. @param index its place in the list of names. */
  watched<Arguments extends readonly unknown[]>(
    index: number,
    call: (...args: Arguments) => number,
  ): (...args: Arguments) => number {
    const words = this.#words
    return (...args) => {
      Atomics.store(words, 1, index)
      Atomics.add(words, 0, 1)
      try {
        return call(...args)
      } finally {
        Atomics.add(words, 0, 1)
      }
    }
  }

  /**
   * Looks from outside. Returns the function that the thread has been in since the first of several looks, and for how
   * many milliseconds; undefined when it is not inside one, or only since this look.
   */
  look(now: number): { readonly index: number; readonly millis: number } | undefined {
    const count = Atomics.load(this.#words, 0)
    if (count % 2 === 0 || count !== this.#seen) {
      this.#seen = count
      this.#since = now
      return undefined
    }
    return { index: Atomics.load(this.#words, 1), millis: now - this.#since }
  }
}
