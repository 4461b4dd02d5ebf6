/** One answer is at most this long: the times of a million rounds. */
const lineCharsMax = 2 ** 25

/** Cuts what a driver writes into lines. A line that never ends is cut off: `overlong` is said, once. */
export class AnswerLines {
  readonly #line: (line: string) => void
  readonly #overlong: (start: string) => void
  readonly #max: number
  #parts: string[] = []
  #chars = 0
  #broken = false

  constructor(heard: { line(line: string): void; overlong(start: string): void }, max = lineCharsMax) {
    this.#line = heard.line
    this.#overlong = heard.overlong
    this.#max = max
  }

  hear(chunk: string): void {
    let from = 0
    for (let end = chunk.indexOf("\n"); end >= 0 && !this.#broken; end = chunk.indexOf("\n", from)) {
      this.#keep(chunk.slice(from, end))
      from = end + 1
      if (this.#broken) return
      const line = this.#parts.join("")
      this.#parts = []
      this.#chars = 0
      this.#line(line)
    }
    if (!this.#broken) this.#keep(chunk.slice(from))
  }

  #keep(part: string): void {
    this.#parts.push(part)
    this.#chars += part.length
    if (this.#chars <= this.#max) return
    this.#broken = true
    this.#overlong(this.#parts.join("").slice(0, 80))
    this.#parts = []
  }
}
