import type { ExpressDesk, ExpressEnd } from "./express-desk.ts"
import type { RailPieces } from "./rail-pieces.ts"

/** The express stream of one connection, while the main thread has it. Whoever has it closes it. */
export class ExpressStream {
  readonly #desk: ExpressDesk
  readonly #fd: number
  #batch = 0

  constructor(desk: ExpressDesk, fd: number) {
    this.#desk = desk
    this.#fd = fd
  }

  /** The number of the last request. */
  get batch(): number {
    return this.#batch
  }

  read(pieces: RailPieces, deadlineMillis: number): ExpressEnd {
    this.#batch = (this.#batch % 0xffffffff) + 1
    return this.#desk.read(this.#fd, this.#batch, pieces, deadlineMillis)
  }

  close(): void {
    this.#desk.close(this.#fd)
  }
}
