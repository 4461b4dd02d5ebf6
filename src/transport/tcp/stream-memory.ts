import { type ControlBlock, ControlMemory } from "../../os/control-memory.ts"
import { headerBytes, pieceBytes, requestPiecesMax } from "../../wire/stream-frames.ts"

/** Requests that a caller keeps on their way: while one answer arrives, the listener has the next. */
export const requestsInFlightMax = 4

const tableBytes = headerBytes + requestPiecesMax * pieceBytes

/** The control memory of one stream: frames are composed and received here, payload never. Reused, not freed. */
export class StreamMemory implements Disposable {
  readonly requests: readonly ControlBlock[]
  readonly table: ControlBlock
  readonly small: ControlBlock
  readonly #memory: ControlMemory

  constructor() {
    const rounded = (bytes: number): number => Math.ceil(bytes / 64) * 64
    this.#memory = new ControlMemory(rounded(tableBytes) * (requestsInFlightMax + 1) + 128)
    this.requests = Array.from({ length: requestsInFlightMax }, () => this.#memory.take(tableBytes))
    this.table = this.#memory.take(tableBytes)
    this.small = this.#memory.take(64)
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]()
  }
}
