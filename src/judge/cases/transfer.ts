import { setTimeout as sleep } from "node:timers/promises"
import { encodePieces } from "../driver/columns.ts"
import type { Answers, SequenceMove, TransferState } from "../driver/protocol.ts"
import { CaseFailed, hold } from "./case-failed.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import { columnsOf, type Piece } from "./pieces.ts"

export interface TransferOptions {
  /** Who posts: the target of a `read`, the source of a `write`. */
  readonly direction: "read" | "write"
  readonly integrity?: string
  readonly note?: string
  /** A write that is called done where it was posted is looked at then, also where the engine could tell the target. */
  readonly withoutNote?: true
  readonly sequence?: SequenceMove
}

export type TransferEnd = Answers["wait"] & { readonly millis: number }

/** Time for a transfer that nothing keeps from ending, on a machine that is busy with others. */
export const timeoutMillisDefault = 20_000
/** A driver is asked one thing at a time: short waits let others ask it. */
const waitMillis = 50
/** How long a note may take that was sent with a write. */
const noteMillis = 5000
/** How much later than its deadline a transfer may end: the processes share few cores. */
const graceMillis = 4000

/** One transfer under judgement: what was asked of the engine, and what must come of it. */
export class Transfer {
  readonly from: JudgedAgent
  readonly to: JudgedAgent
  readonly poster: JudgedAgent
  readonly pieces: readonly Piece[]
  readonly number: number
  /** What was lent for it; empty where nothing was. */
  readonly offer: string
  /** What each piece's bytes were when it was posted. */
  #bytes: readonly Uint8Array[] = []
  #postedAt = 0
  /** The note that the target hears when all is there. */
  #awaited: string | undefined
  #timeoutMillis = 0

  /** @throws DriverFailed when the engine refuses it. */
  static async prepare(
    from: JudgedAgent,
    to: JudgedAgent,
    pieces: readonly Piece[],
    { direction, sequence, integrity, withoutNote, ...options }: TransferOptions,
  ): Promise<Transfer> {
    const [poster, peer] = direction === "read" ? [to, from] : [from, to]
    const transfer = new Transfer(from, to, poster, pieces, sequence?.offer ?? "")
    // Who writes learns when its own part is over; the target learns from the note that the bytes are there.
    if (direction === "write" && withoutNote !== true && poster.capabilities.includes("notify"))
      transfer.#awaited = options.note === undefined ? `${poster.name} ${transfer.number}` : undefined
    const note = options.note ?? transfer.#awaited
    await poster.driver.ask("prepare", {
      transfer: transfer.number,
      peer: peer.name,
      direction,
      pieces: encodePieces(columnsOf(pieces, direction === "read" ? "target" : "source")),
      ...(sequence === undefined ? {} : { sequence }),
      ...(integrity === undefined ? {} : { integrity }),
      ...(note === undefined ? {} : { note }),
    })
    return transfer
  }

  private constructor(
    from: JudgedAgent,
    to: JudgedAgent,
    poster: JudgedAgent,
    pieces: readonly Piece[],
    offer: string,
  ) {
    this.offer = offer
    this.from = from
    this.to = to
    this.poster = poster
    this.pieces = pieces
    this.number = poster.nextTransfer()
  }

  get byteLength(): number {
    return this.pieces.reduce((sum, { length }) => sum + length, 0)
  }

  /** Starts it. What the source holds now is what must arrive. */
  async post(timeoutMillis = timeoutMillisDefault): Promise<void> {
    this.posted(timeoutMillis)
    const millis = timeoutMillis + graceMillis
    await this.poster.driver.ask("post", { transfer: this.number, timeoutMillis }, { millis })
  }

  /** Notes that it is started now, by whoever posts several at once. */
  posted(timeoutMillis = timeoutMillisDefault): void {
    this.to.isTarget = true
    this.#bytes = this.pieces.map(({ sourceRegion, sourceOffset, length }) =>
      this.from.expected[sourceRegion]!.slice(sourceOffset, sourceOffset + length),
    )
    this.#postedAt = performance.now()
    this.#timeoutMillis = timeoutMillis
  }

  /**
   * Waits until it has ended, at most for its deadline and some grace.
   * @throws CaseFailed "hang" when it has not.
   */
  async end(): Promise<TransferEnd> {
    for (;;) {
      const left = this.#postedAt + this.#timeoutMillis + graceMillis - performance.now()
      const answer = await this.poster.driver.ask("wait", { transfer: this.number, millis: waitMillis })
      const millis = performance.now() - this.#postedAt
      if (answer.state !== "pending") return { ...answer, millis }
      hold(
        left > 0,
        "hang",
        `a transfer of ${this.byteLength} bytes has not ended ${Math.round(millis)} ms after it was posted with a deadline of ${this.#timeoutMillis} ms`,
      )
    }
  }

  /** Waits for its end, which must be a good one; its bytes are expected at the target from then on. */
  async done(): Promise<TransferEnd> {
    const end = await this.end()
    this.mustBe(end, "done")
    await this.heard()
    this.land()
    return end
  }

  /** Waits for the note of a write, where one was sent. */
  async heard(): Promise<void> {
    if (this.#awaited === undefined) return
    for (const end = performance.now() + noteMillis; !(await this.to.hears(this.#awaited)); ) {
      const left = end - performance.now()
      hold(
        left > 0,
        "notes",
        `${noteMillis} ms after a write was called done ${this.to.name} has not heard of it`,
      )
      await sleep(1)
    }
  }

  mustBe({ state, error }: TransferEnd, ...states: readonly TransferState[]): void {
    if (states.includes(state)) return
    const why = error === undefined ? "" : `: ${error.code}: ${error.text}`
    throw new CaseFailed({
      kind: state === "done" ? "no-error" : "error",
      text: `a transfer of ${this.byteLength} bytes in ${this.pieces.length} pieces from ${this.from.name} to ${this.to.name} ended as ${state} where ${states.join(" or ")} was right${why}`,
    })
  }

  /** Bytes of it that are at the target now, whatever wrote them: those that are right, and those that are no longer as before. */
  arrived(): number {
    let count = 0
    for (const [i, { targetRegion, targetOffset, length }] of this.pieces.entries()) {
      const [found, before] = [this.to.memory(targetRegion), this.to.expected[targetRegion]!]
      const bytes = this.#bytes[i]!
      for (let at = 0; at < length; at++) {
        const byte = found[targetOffset + at]
        if (byte === bytes[at] || byte !== before[targetOffset + at]) count++
      }
    }
    return count
  }

  /** A receipt of a transfer that has not ended well claims no bytes that are not there. Before it is `fail`ed. */
  holdClaim({ state, receipt }: TransferEnd): void {
    if (state === "done" || receipt === undefined || receipt.bytes === 0) return
    const arrived = this.arrived()
    const claimed = Math.max(
      receipt.bytes,
      receipt.rails.reduce((sum, rail) => sum + rail.bytes, 0),
    )
    hold(
      claimed <= arrived,
      "receipt",
      `the receipt of a transfer that ended as ${state} says ${claimed} bytes, and ${arrived} of ${this.byteLength} are at the target`,
    )
  }

  /** From now on its bytes must be at the target. */
  land(): void {
    for (const [i, piece] of this.pieces.entries()) {
      this.to.expect(piece.targetRegion, this.#run(piece), this.#bytes[i]!)
    }
  }

  /** After it has failed: what its pieces hold says nothing, but all around them does, and they must not change any more. */
  fail(): void {
    for (const piece of this.pieces) {
      this.to.accept(piece.targetRegion, piece.targetOffset, piece.length)
      this.to.runs[piece.targetRegion]!.push(this.#run(piece))
    }
  }

  async cancel(): Promise<void> {
    await this.poster.driver.ask("cancel", { transfer: this.number })
  }

  async release(): Promise<void> {
    await this.poster.driver.ask("release", { transfer: this.number })
  }

  /** From post to its good end, and gone. */
  async run(timeoutMillis = timeoutMillisDefault): Promise<TransferEnd> {
    await this.post(timeoutMillis)
    const end = await this.done()
    await this.release()
    return end
  }

  #run({ sourceRegion, sourceOffset, targetOffset, length }: Piece) {
    return { targetOffset, length, owner: this.from.owner, region: sourceRegion, sourceOffset }
  }
}
