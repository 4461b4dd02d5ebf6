import type { Direction } from "./driver.ts"
import { LaneWindow } from "./lane-window.ts"
import type { AttachCommand } from "./rail-messages.ts"

/** Notices without an answer that a lane may have under way: the peer keeps at least twice as many receives posted. */
export const noticesMax = 16

/** What of an attached lane does not depend on its connection. */
export interface RailTraits {
  readonly rail: number
  readonly ordered: boolean
  readonly writesAreVisible: boolean
}

/** A lane as its rail's thread has it: what was posted on it, and what of that is proven. */
export class RailLane {
  readonly number: number
  readonly connection: number
  readonly place: number
  /** False until its proof has come back, and from its end on. */
  up: boolean
  /** It is being ended on purpose. */
  stopping = false
  /** Reads and writes are proven by different things, so each has its own count. */
  readonly windows: Readonly<Record<Direction, LaneWindow>>
  readonly #next: Record<Direction, number> = { read: 0, write: 0 }
  readonly #writesAreVisible: boolean
  #token = 0
  /** Notices without an answer: the token, and the last write before it. */
  readonly #notices: { readonly token: number; readonly seq: number }[] = []

  constructor({ lane, connection, place, window, prove }: AttachCommand, traits: RailTraits) {
    const { rail, ordered, writesAreVisible } = traits
    this.number = lane
    this.connection = connection
    this.place = place
    this.up = !prove
    this.#writesAreVisible = writesAreVisible
    const limits = { rail, ordered, ...window }
    // An answer to a notice proves all writes before it, in whatever order the fabric completes them.
    this.windows = {
      read: new LaneWindow(limits),
      write: new LaneWindow({ ...limits, ordered: ordered || !writesAreVisible }),
    }
  }

  /** The number that the next unit in this direction is posted under. */
  nextSeq(direction: Direction): number {
    return this.#next[direction]
  }

  /** Units were posted: the following numbers are theirs. */
  posted(direction: Direction, count: number): void {
    this.#next[direction] += count
  }

  /** False while a write cannot be followed by a notice. */
  mayPost(direction: Direction): boolean {
    return direction === "read" || this.#writesAreVisible || this.#notices.length < noticesMax
  }

  /** The token to send with a run of units that ends with number `lastSeq`; -1 for none. */
  tokenFor(direction: Direction, lastSeq: number): number {
    if (direction === "read" || this.#writesAreVisible) return -1
    const token = this.#token
    this.#token = (this.#token + 1) % 2 ** 29
    this.#notices.push({ token, seq: lastSeq })
    return token
  }

  landed(direction: Direction, seq: number): void {
    // A write that the NIC has acknowledged is not yet visible to the peer.
    if (direction === "read" || this.#writesAreVisible) this.windows[direction].succeeded(seq)
  }

  confirmed(token: number): void {
    const at = this.#notices.findIndex((notice) => notice.token === token)
    if (at < 0) return
    this.windows.write.succeeded(this.#notices[at]!.seq)
    this.#notices.splice(0, at + 1)
  }

  get outstanding(): number {
    return this.windows.read.outstanding + this.windows.write.outstanding
  }

  /** It is quiet: what is not proven goes back to its deals. */
  lost(): void {
    this.up = false
    this.#notices.length = 0
    this.windows.read.lost()
    this.windows.write.lost()
  }
}
