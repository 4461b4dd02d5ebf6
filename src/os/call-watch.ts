/** Time between two looks that counts at most: a process that was stopped meanwhile has not waited for anybody. */
const lookMillisMax = 1000

const [count, last, abandoned, ended] = [0, 1, 2, 3]

/**
 * Says from another thread whether a thread is inside a library, and for how long: some have calls that spin for ever.
 *
 * Four words: how many calls have begun and ended, so that it is odd inside one; which one began last; whether the thread was
 * given up; and whether it has come to its end.
 */
export class CallWatch {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array<SharedArrayBuffer>
  #seen = 0
  #looked = 0
  #millis = 0
  #depth = 0

  constructor(buffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer
    this.#words = new Int32Array(buffer)
  }

  /** Runs a call that this watch sees; one within another counts by itself. @param index its place in the list of names. */
  inside<T>(index: number, call: () => T): T {
    const words = this.#words
    const outer = this.#depth++ === 0 ? undefined : Atomics.load(words, last)
    // By two within another call: odd is inside.
    const step = outer === undefined ? 1 : 2
    Atomics.store(words, last, index)
    Atomics.add(words, count, step)
    try {
      return call()
    } finally {
      this.#depth -= 1
      if (outer !== undefined) Atomics.store(words, last, outer)
      Atomics.add(words, count, step)
    }
  }

  /** Makes a function tell this watch that it was entered and left. @param index its place in the list of names. */
  watched<Arguments extends readonly unknown[]>(
    index: number,
    call: (...args: Arguments) => number,
  ): (...args: Arguments) => number {
    const words = this.#words
    return (...args) => {
      Atomics.store(words, last, index)
      Atomics.add(words, count, 1)
      try {
        return call(...args)
      } finally {
        Atomics.add(words, count, 1)
      }
    }
  }

  /**
   * Looks from outside. Returns the call that the thread has been in since the first of several looks, and for how
   * many milliseconds; undefined when it is not inside one, or only since this look.
   */
  look(now: number): { readonly index: number; readonly millis: number } | undefined {
    const found = Atomics.load(this.#words, count)
    if (found % 2 === 0 || found !== this.#seen) {
      this.#seen = found
      this.#looked = now
      this.#millis = 0
      return undefined
    }
    this.#millis += Math.min(lookMillisMax, now - this.#looked)
    this.#looked = now
    return { index: Atomics.load(this.#words, last), millis: this.#millis }
  }

  /** From outside: nobody waits for the thread any more. */
  abandon(): void {
    Atomics.store(this.#words, abandoned, 1)
  }

  /** For the thread that came back after all: it shall touch nothing any more. */
  get abandoned(): boolean {
    return Atomics.load(this.#words, abandoned) === 1
  }

  /** The thread is out of the library for good. */
  end(): void {
    Atomics.store(this.#words, ended, 1)
    Atomics.notify(this.#words, ended)
  }

  /** Blocks until the thread is out of the library for good, or so many milliseconds have passed. Returns whether it is. */
  awaitEnd(millis: number): boolean {
    return Atomics.wait(this.#words, ended, 0, Math.max(0, millis)) !== "timed-out"
  }
}
