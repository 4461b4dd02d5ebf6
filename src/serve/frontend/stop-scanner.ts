/**
 * Finds the first stop string in a text that comes in pieces, and lets no part of one through.
 *
 * Text that could still grow into a stop string is held back until it is known not to.
 */
export class StopScanner {
  readonly #stops: readonly string[]
  #held = ""
  #stopped = false

  constructor(stops: readonly string[]) {
    this.#stops = stops
  }

  /** True once a stop string was seen: nothing follows. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** The text that is now sure to come before any stop string. */
  push(piece: string): string {
    if (this.#stopped) return ""
    const text = this.#held + piece
    const at = this.#firstStop(text)
    if (at !== -1) {
      this.#stopped = true
      this.#held = ""
      return text.slice(0, at)
    }
    const sure = text.length - this.#heldChars(text)
    this.#held = text.slice(sure)
    return text.slice(0, sure)
  }

  /** What was held back, when the text ends. */
  end(): string {
    const held = this.#held
    this.#held = ""
    return held
  }

  #firstStop(text: string): number {
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at !== -1)
    return found.length === 0 ? -1 : Math.min(...found)
  }

  /** Length of the longest tail of `text` that begins a stop string. */
  #heldChars(text: string): number {
    let longest = 0
    for (const stop of this.#stops) {
      for (let chars = Math.min(stop.length - 1, text.length); chars > longest; chars--) {
        if (text.endsWith(stop.slice(0, chars))) longest = chars
      }
    }
    return longest
  }
}
