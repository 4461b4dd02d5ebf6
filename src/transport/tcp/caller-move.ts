import type { RailPieces } from "./mover-messages.ts"

/** One move of one caller stream: how far its pieces have been asked for and have come. */
export class CallerMove {
  readonly id: number
  readonly direction: "read" | "write"
  readonly pieces: RailPieces
  readonly deadlineMillis: number
  /** The first piece not yet asked for in full, and how much of it was. */
  piece = 0
  pieceDone = 0
  /** Requests of this move that were not answered yet. */
  outstanding = 0
  bytesDone = 0
  /** Stopped: what still arrives goes to the sink. */
  stopped = false

  constructor(id: number, direction: "read" | "write", pieces: RailPieces, deadlineMillis: number) {
    this.id = id
    this.direction = direction
    this.pieces = pieces
    this.deadlineMillis = deadlineMillis
  }

  get allRequested(): boolean {
    return this.stopped || this.piece >= this.pieces.length.length
  }

  get finished(): boolean {
    return this.allRequested && this.outstanding === 0
  }
}
