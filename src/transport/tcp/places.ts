import { requestPiecesMax } from "../../wire/stream-frames.ts"

/** Checked places of one request's pieces. They are used only when the last of them was found good too. */
export class Places {
  readonly #addresses = new Float64Array(requestPiecesMax)
  readonly #lengths = new Uint32Array(requestPiecesMax)
  #count = 0

  clear(): void {
    this.#count = 0
  }

  push(address: number, length: number): void {
    this.#addresses[this.#count] = address
    this.#lengths[this.#count++] = length
  }

  addTo(queue: { push(address: number, length: number): void }): void {
    for (let i = 0; i < this.#count; i++) queue.push(this.#addresses[i]!, this.#lengths[i]!)
  }
}
