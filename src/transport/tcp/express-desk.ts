import { ControlMemory } from "../../os/control-memory.ts"
import { MessageIo, wouldBlock } from "../../os/message-io.ts"
import { Sockets } from "../../os/sockets.ts"
import { yieldCore } from "../../os/yield-core.ts"
import {
  direction,
  headerBytes,
  pieceBytes,
  readResponse,
  status,
  writePiece,
  writeRequest,
} from "../../wire/stream-frames.ts"
import type { RailPieces } from "./rail-pieces.ts"
import type { SpinPermit } from "./spin-permit.ts"

/** What the main thread reads by itself: so little that the way to a mover and back would cost more. */
export const expressPiecesMax = 16
export const expressBytesMax = 64 * 1024

/** How one express read went. */
export type ExpressEnd =
  | { readonly kind: "done" }
  | { readonly kind: "refused"; readonly status: number; readonly piece: number }
  /** The peer does not keep to the protocol. */
  | { readonly kind: "broken"; readonly why: string }
  /** Nothing of the request has been heard: it can be asked again on another stream. */
  | { readonly kind: "unsent" }
  /** The answer is not here yet, or not all of it; `header` is what has come of its first bytes. */
  | { readonly kind: "waiting"; readonly received: number; readonly header: Uint8Array }

/**
 * Reads small moves from the thread that calls: it sends the request, and looks for the answer for a bounded time.
 *
 * One desk serves all express streams of an endpoint. Nothing is left in it between two reads.
 */
export class ExpressDesk implements Disposable {
  readonly #memory = new ControlMemory(MessageIo.controlBytes + 2048)
  readonly #io = new MessageIo(this.#memory)
  readonly #request = this.#memory.take(headerBytes + expressPiecesMax * pieceBytes)
  readonly #answer = this.#memory.take(headerBytes)
  readonly #sockets = new Sockets(this.#memory)
  readonly #permit: SpinPermit

  constructor(permit: SpinPermit) {
    this.#permit = permit
  }

  /** Closes a stream that was lent to this thread. */
  close(fd: number): void {
    this.#sockets.close(fd)
  }

  /** Asks for `pieces` and looks for the answer until the budget or the deadline is over. */
  read(fd: number, batch: number, pieces: RailPieces, deadlineMillis: number): ExpressEnd {
    const start = performance.now()
    // The permit is the first to run out when other threads spin already.
    this.#permit.renew(start)
    const end = this.#read(fd, batch, pieces, () => {
      const now = performance.now()
      return now < deadlineMillis && this.#permit.lasts(now)
    })
    this.#permit.giveBack()
    return end
  }

  #read(fd: number, batch: number, pieces: RailPieces, lasts: () => boolean): ExpressEnd {
    const { data, address } = this.#request
    const { count, bytes } = pieces
    writeRequest(data, { direction: direction.read, batch, pieces: count, bytes })
    for (let i = 0; i < count; i++) {
      writePiece(data, i, pieces.rkey[i]!, pieces.length[i]!, pieces.remoteOffset[i]!)
    }
    const io = this.#io
    io.clear()
    io.add(address, headerBytes + count * pieceBytes)
    if (io.send(fd) !== io.bytes) return { kind: "unsent" }
    let received = 0
    const expected = headerBytes + bytes
    this.#offer(pieces, 0)
    for (;;) {
      const more = io.receive(fd)
      if (more > 0) {
        const header = received < headerBytes && received + more >= headerBytes
        received += more
        if (header) {
          const answer = readResponse(this.#answer.data)
          if (answer === undefined || answer.batch !== batch) {
            return { kind: "broken", why: "an answer came that no request waits for" }
          }
          if (answer.status !== status.ok) {
            return received === headerBytes
              ? { kind: "refused", status: answer.status, piece: answer.piece }
              : { kind: "broken", why: "a refusal came with bytes behind it" }
          }
          if (answer.bytes !== bytes) {
            return { kind: "broken", why: "an answer has another length than its request" }
          }
        }
        if (received === expected) return { kind: "done" }
        this.#offer(pieces, received)
      } else if (more === 0 || !wouldBlock(more)) return { kind: "unsent" }
      // The peer may wait for this very core.
      else if (lasts()) yieldCore()
      else {
        return {
          kind: "waiting",
          received,
          header: this.#answer.u8.slice(0, Math.min(received, headerBytes)),
        }
      }
    }
  }

  /** Lists the answer's header and the places of its payload, less what has come. */
  #offer({ count, address, length }: RailPieces, received: number): void {
    this.#io.clear()
    if (received < headerBytes) this.#io.add(this.#answer.address + received, headerBytes - received)
    let skip = Math.max(0, received - headerBytes)
    for (let i = 0; i < count; i++) {
      const passed = Math.min(skip, length[i]!)
      if (passed < length[i]!) this.#io.add(address[i]! + passed, length[i]! - passed)
      skip -= passed
    }
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]()
  }
}
