/** Names what is wrong at any moment, so that a step can be told apart by what it was taken under. */
export class FaultsInForce {
  readonly #lasting = new Map<string, number>()

  /** The faults that last now, each once. */
  get names(): string[] {
    return [...this.#lasting.keys()]
  }

  /** One begins; returns what ends it. */
  begin(name: string): () => void {
    this.#lasting.set(name, (this.#lasting.get(name) ?? 0) + 1)
    return () => {
      const left = this.#lasting.get(name)! - 1
      if (left === 0) this.#lasting.delete(name)
      else this.#lasting.set(name, left)
    }
  }
}
