/** What happened in a schedule, line by line, and a hash over it: two runs of one seed have the same. */
export class Journal {
  readonly #lines: string[] = []
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  get lines(): readonly string[] {
    return this.#lines
  }

  note(who: string, what: string): void {
    this.#lines.push(`${this.#now().toFixed(3).padStart(12)} ${who.padEnd(8)} ${what}`)
  }

  /** 16 hexadecimal digits over all lines. */
  get hash(): string {
    let [low, high] = [0x811c9dc5, 0x1b873593]
    for (const line of this.#lines) {
      for (let i = 0; i < line.length; i++) {
        const code = line.charCodeAt(i)
        low = Math.imul(low ^ code, 0x01000193)
        high = Math.imul((high << 5) | (high >>> 27), 0xcc9e2d51) ^ code
      }
      low = Math.imul(low ^ 10, 0x01000193)
    }
    const word = (value: number): string => (value >>> 0).toString(16).padStart(8, "0")
    return word(low) + word(high)
  }
}
