/** Time between two looks that counts at most: a process that was stopped meanwhile has not waited for anybody. */
const lookMillisMax = 1000

const [state, abandoned, ended] = [0, 1, 2]
/** Calls are told apart by their number, so that a look sees that one has ended and another begun. */
const callsMax = 2 ** 24
const indexesMax = 127

/**
 * Says from another thread whether a thread is inside a library, and for how long: some have calls that spin for ever.
 *
 * Three words: which call it is in, by number and index, or 0; whether the thread was given up; and whether it has come to its end.
 * The first has one writer, and a look that comes a little late does no harm: a plain store is enough, and costs next to nothing.
 */
export class CallWatch {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array<SharedArrayBuffer>
  #calls = 0
  /** The index of the call that the thread is in, from 1; 0 outside. */
  #index = 0
  #seen = 0
  #looked = 0
  #millis = 0

  constructor(buffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer
    this.#words = new Int32Array(buffer)
  }

  /** Runs a call that this watch sees; one within another counts by itself. @param index its place in the list of names, below 127. */
  inside<T>(index: number, call: () => T): T {
    const outer = this.#index
    this.#enter(index + 1)
    try {
      return call()
    } finally {
      this.#enter(outer)
    }
  }

  /** Makes a function tell this watch that it was entered and left. @param index its place in the list of names. */
  watched<Arguments extends readonly unknown[]>(
    index: number,
    call: (...args: Arguments) => number,
  ): (...args: Arguments) => number {
    return (...args) => this.inside(index, () => call(...args))
  }

  /**
   * Looks from outside. Returns the call that the thread has been in since the first of several looks, and for how
   * many milliseconds; undefined when it is not inside one, or only since this look.
   */
  look(now: number): { readonly index: number; readonly millis: number } | undefined {
    const found = Atomics.load(this.#words, state)
    if (found === 0 || found !== this.#seen) {
      this.#seen = found
      this.#looked = now
      this.#millis = 0
      return undefined
    }
    this.#millis += Math.min(lookMillisMax, now - this.#looked)
    this.#looked = now
    return { index: (found & indexesMax) - 1, millis: this.#millis }
  }

  /** From outside: nobody waits for the thread any more. */
  abandon(): void {
    Atomics.store(this.#words, abandoned, 1)
  }

  /** For the thread that came back after all: it shall touch nothing any more. */
  get abandoned(): boolean {
    return this.#words[abandoned] === 1
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

  #enter(index: number): void {
    this.#index = index
    this.#calls = (this.#calls + 1) % callsMax
    this.#words[state] = index === 0 ? 0 : this.#calls * (indexesMax + 1) + index
  }
}
