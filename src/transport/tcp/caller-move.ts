import { requestBytesMax, requestPiecesMax } from "../../wire/stream-frames.ts"
import type { RailPieces } from "./rail-pieces.ts"

/** Which pieces of a move one request asks for: from a place inside the first of them on. */
export interface RequestRange {
  readonly first: number
  /** Bytes of the first piece that an earlier request asked for. */
  readonly skipped: number
  readonly count: number
  readonly bytes: number
}

/** One move of one caller stream: how far its pieces have been asked for and have come. */
export class CallerMove {
  readonly id: number
  readonly direction: "read" | "write"
  readonly pieces: RailPieces
  readonly deadlineMillis: number
  /** Requests of this move that were not answered yet. */
  outstanding = 0
  /** Units that were hashed. */
  hashed = 0
  /** Stopped: what still arrives goes to the sink. */
  stopped = false
  /** The first piece not yet asked for in full, and how much of it was. */
  #piece = 0
  #pieceDone = 0

  constructor(id: number, direction: "read" | "write", pieces: RailPieces, deadlineMillis: number) {
    this.id = id
    this.direction = direction
    this.pieces = pieces
    this.deadlineMillis = deadlineMillis
  }

  get bytesDone(): number {
    return this.pieces.moved[0]!
  }

  /** A request of this move was answered. Once it is stopped the count is the next post's. */
  answered(bytes: number): void {
    this.outstanding -= 1
    if (!this.stopped) this.pieces.moved[0]! += bytes
  }

  get allRequested(): boolean {
    return this.stopped || this.#piece >= this.pieces.count
  }

  get finished(): boolean {
    return this.allRequested && this.outstanding === 0
  }

  /** Takes the next pieces that fit into one request. */
  next(): RequestRange {
    const { length, count: pieces } = this.pieces
    const [first, skipped] = [this.#piece, this.#pieceDone]
    let [count, bytes] = [0, 0]
    while (this.#piece < pieces && count < requestPiecesMax && bytes < requestBytesMax) {
      const left = length[this.#piece]! - this.#pieceDone
      const taken = Math.min(left, requestBytesMax - bytes)
      count += 1
      bytes += taken
      if (taken === left) {
        this.#piece += 1
        this.#pieceDone = 0
      } else this.#pieceDone += taken
    }
    return { first, skipped, count, bytes }
  }

  /** Adds the memory of a range to a queue, in the order in which its bytes cross. */
  addPlaces(range: RequestRange, queue: { push(address: number, length: number): void }): void {
    const { address, length } = this.pieces
    let left = range.bytes
    for (let i = 0; i < range.count; i++) {
      const skipped = i === 0 ? range.skipped : 0
      const taken = Math.min(length[range.first + i]! - skipped, left)
      queue.push(address[range.first + i]! + skipped, taken)
      left -= taken
    }
  }
}
