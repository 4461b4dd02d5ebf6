import type { KvErrorCode } from "../../errors/codes.ts"
import { KvError } from "../../errors/kv-error.ts"
import { errnoName } from "../../os/os-error.ts"
import { interest } from "../../os/poller.ts"
import {
  direction,
  greetingBytes,
  greetingNonceAt,
  greetingProblem,
  headerBytes,
  helloBytes,
  helloProofAt,
  helloSessionAt,
  nonceBytes,
  pieceBytes,
  readResponse,
  requestBytesMax,
  requestPiecesMax,
  status,
  writeGreeting,
  writePiece,
  writeRequest,
} from "../../wire/stream-frames.ts"
import { CallerMove } from "./caller-move.ts"
import type { MoverHost } from "./mover-host.ts"
import type { MoverCommand } from "./mover-messages.ts"
import { Stream } from "./stream.ts"
import { requestsInFlightMax, type StreamMemory } from "./stream-memory.ts"
import { streamProof } from "./stream-proof.ts"

type ConnectCommand = Extract<MoverCommand, { type: "connect" }>
type MoveCommand = Extract<MoverCommand, { type: "move" }>
type Phase = "connecting" | "greeting" | "verdict" | "response" | "payload" | "closed"

/** A request on its way: which move it serves, where its payload belongs, and the control memory it sits in. */
interface InFlight {
  readonly batch: number
  readonly move: CallerMove
  readonly bytes: number
  readonly slot: number
  /** How many bytes of the stream, from its first request on, end with this request and its payload. */
  readonly endsAt: number
  /** For a read: address and length of each part, in the order they will come. */
  readonly places: readonly { readonly address: number; readonly length: number }[]
}

/** The side that connects: proves itself, then asks for pieces and keeps a few requests on their way. */
export class CallerStream extends Stream {
  readonly connection: number
  readonly memory: StreamMemory
  readonly #session: string
  readonly #key: Uint8Array
  readonly #peer: string
  readonly #connectDeadline: number
  #phase: Phase = "connecting"
  #nextBatch = 1
  #queuedBytes = 0
  readonly #freeSlots = Array.from({ length: requestsInFlightMax }, (_, slot) => slot)
  readonly #waiting: CallerMove[] = []
  readonly #inFlight: InFlight[] = []

  constructor(host: MoverHost, fd: number, memory: StreamMemory, command: ConnectCommand) {
    super(host, fd)
    this.connection = command.connection
    this.memory = memory
    this.#session = command.session
    this.#key = command.key
    this.#peer = `${command.host} port ${command.port}`
    this.#connectDeadline = command.deadlineMillis
  }

  override get wants(): number {
    if (this.#phase === "connecting") return interest.write
    // Without a request on its way nothing should come, but the peer's end of the stream must be noticed.
    return super.wants | interest.read
  }

  get deadlineMillis(): number {
    if (this.#phase !== "response" && this.#phase !== "payload") return this.#connectDeadline
    let soonest = Number.POSITIVE_INFINITY
    for (const move of this.#moves()) if (!move.stopped) soonest = Math.min(soonest, move.deadlineMillis)
    return soonest
  }

  override ready(events: number): void {
    if (this.#phase === "connecting") return this.#connected()
    if ((events & interest.read) !== 0 && this.incoming.bytes === 0) {
      this.incoming.push(this.memory.small.address, headerBytes)
    }
    super.ready(events)
  }

  expired(nowMillis: number): void {
    if (this.#phase !== "response" && this.#phase !== "payload") {
      return this.#fail("KV_DEADLINE", `no stream to ${this.#peer} was up before the deadline`)
    }
    for (const move of this.#moves()) {
      if (nowMillis >= move.deadlineMillis) {
        this.stop(move.id, "KV_DEADLINE", `${move.bytesDone} bytes had arrived when the deadline passed`)
      }
    }
  }

  uses(region: number): boolean {
    for (const move of this.#moves())
      if (!move.stopped && move.pieces.localRegion.includes(region)) return true
    return false
  }

  /** Takes a new move; its requests go out as slots are free. */
  start(command: MoveCommand): void {
    const move = new CallerMove(command.move, command.direction, command.pieces, command.deadlineMillis)
    this.#waiting.push(move)
    this.#request()
  }

  /**
   * Ends a move early. When this returns, nothing of it touches its memory any more.
   *
   * A read's late bytes go to the sink. A write that is under way cannot be taken back, so its stream is closed.
   */
  stop(id: number, code: KvErrorCode, what: string): void {
    for (const move of [...this.#moves()]) {
      if (move.id !== id || move.stopped) continue
      this.#giveUp(move, new KvError(code, { what }))
      if (move.direction === "write" && move.outstanding > 0) {
        return this.close("a write was stopped half way, and its bytes cannot be called back")
      }
      const current = this.#inFlight[0]
      if (this.#phase === "payload" && current?.move === move) {
        this.incoming.redirect(this.host.sink.address, this.host.sink.byteLength)
      }
    }
    this.#request()
  }

  protected received(): void {
    if (this.#phase === "greeting") this.#answerGreeting()
    else if (this.#phase === "verdict") this.#takeVerdict()
    else if (this.#phase === "response") this.#takeResponse()
    else if (this.#phase === "payload") this.#finishRequest()
  }

  protected sent(): void {}

  protected ended(why: string): void {
    const text = { what: `the stream to ${this.#peer} ended`, why }
    const error = new KvError("KV_PEER_LOST", text).toJSON()
    this.#phase = "closed"
    for (const move of this.#moves()) {
      if (!move.stopped) this.host.emit({ type: "stopped", move: move.id, error })
    }
    this.#waiting.length = 0
    this.#inFlight.length = 0
    this.host.emit({ type: "lost", connection: this.connection, error })
  }

  #fail(code: KvErrorCode, what: string, why?: string): void {
    const next = "check that the peer runs, and that nothing between blocks the port"
    const text = why === undefined ? { what, next } : { what, why, next }
    this.host.emit({ type: "lost", connection: this.connection, error: new KvError(code, text).toJSON() })
    this.close(what)
  }

  #connected(): void {
    const code = this.host.sockets.connectError(this.fd)
    if (code !== 0) {
      return this.#fail(
        "KV_PEER_UNREACHABLE",
        `cannot reach ${this.#peer}`,
        `connect answered ${errnoName(code)}`,
      )
    }
    this.#phase = "greeting"
    this.incoming.push(this.memory.small.address, greetingBytes)
  }

  #answerGreeting(): void {
    const { small, table } = this.memory
    const problem = greetingProblem(small.data)
    if (problem !== undefined) {
      return this.#fail("KV_PEER_REFUSED", `${this.#peer} is not a stream of ours`, problem)
    }
    const nonce = small.u8.subarray(greetingNonceAt, greetingNonceAt + nonceBytes)
    table.u8.fill(0, 0, helloBytes)
    writeGreeting(table.data)
    table.u8.set(Buffer.from(this.#session, "hex"), helloSessionAt)
    table.u8.set(streamProof(this.#key, this.#session, nonce), helloProofAt)
    this.outgoing.push(table.address, helloBytes)
    this.#queuedBytes += helloBytes
    this.#phase = "verdict"
    this.incoming.push(small.address, headerBytes)
    this.push()
  }

  #takeVerdict(): void {
    const response = readResponse(this.memory.small.data)
    if (response?.status !== status.ok) {
      return this.#fail(
        "KV_PEER_UNTRUSTED",
        `${this.#peer} did not accept our proof`,
        "it does not know this session",
      )
    }
    this.#phase = "response"
    this.host.emit({ type: "connected", connection: this.connection })
  }

  /** Sends requests while there are pieces to ask for and slots to ask with. */
  #request(): void {
    if (this.closed || (this.#phase !== "response" && this.#phase !== "payload")) return
    let any = false
    while (this.#freeSlots.length > 0 && this.#waiting.length > 0) {
      const move = this.#waiting[0]!
      this.#compose(move, this.#freeSlots.pop()!)
      if (move.allRequested) this.#waiting.shift()
      any = true
    }
    if (!any) return
    if (this.incoming.bytes === 0) this.incoming.push(this.memory.small.address, headerBytes)
    this.push()
  }

  #compose(move: CallerMove, slot: number): void {
    const { data, address } = this.memory.requests[slot]!
    const { pieces } = move
    const places: { address: number; length: number }[] = []
    let bytes = 0
    while (move.piece < pieces.length.length && places.length < requestPiecesMax && bytes < requestBytesMax) {
      const index = move.piece
      const length = Math.min(pieces.length[index]! - move.pieceDone, requestBytesMax - bytes)
      const span = this.host.regionsById.get(pieces.localRegion[index]!)!.span
      writePiece(
        data,
        places.length,
        pieces.rkey[index]!,
        length,
        pieces.remoteOffset[index]! + move.pieceDone,
      )
      places.push({ address: span.addressOf(pieces.localOffset[index]! + move.pieceDone, length), length })
      bytes += length
      move.pieceDone += length
      if (move.pieceDone === pieces.length[index]) {
        move.piece += 1
        move.pieceDone = 0
      }
    }
    const batch = this.#nextBatch
    this.#nextBatch = (this.#nextBatch % 0xffffffff) + 1
    writeRequest(data, { direction: direction[move.direction], batch, pieces: places.length, bytes })
    const tableEnd = headerBytes + places.length * pieceBytes
    this.outgoing.push(address, tableEnd)
    this.#queuedBytes += tableEnd
    if (move.direction === "write") {
      for (const place of places) this.outgoing.push(place.address, place.length)
      this.#queuedBytes += bytes
    }
    move.outstanding += 1
    const expected = move.direction === "read" ? places : []
    this.#inFlight.push({ batch, move, bytes, slot, endsAt: this.#queuedBytes, places: expected })
  }

  #takeResponse(): void {
    const response = readResponse(this.memory.small.data)
    const request = this.#inFlight[0]
    if (response === undefined || request === undefined || response.batch !== request.batch) {
      return this.close("an answer came that no request waits for")
    }
    // Or our memory would still be read from after the move was said to be done.
    if (this.#queuedBytes - this.outgoing.bytes < request.endsAt) {
      return this.close("an answer came before its request had been sent")
    }
    if (response.status !== status.ok) {
      this.#refused(request, response.status, response.piece)
      if (!this.closed) this.#finishRequest()
      return
    }
    if (request.move.direction === "write") return this.#finishRequest()
    if (response.bytes !== request.bytes) return this.close("an answer has another length than its request")
    this.#phase = "payload"
    if (request.move.stopped) {
      this.incoming.push(this.host.sink.address, request.bytes)
      this.incoming.redirect(this.host.sink.address, this.host.sink.byteLength)
      return
    }
    for (const { address, length } of request.places) this.incoming.push(address, length)
  }

  #finishRequest(): void {
    const { move, slot, bytes } = this.#inFlight.shift()!
    this.#phase = "response"
    this.#freeSlots.push(slot)
    move.outstanding -= 1
    move.bytesDone += bytes
    if (move.finished && !move.stopped)
      this.host.emit({ type: "moved", move: move.id, bytes: move.bytesDone })
    if (this.#inFlight.length > 0) this.incoming.push(this.memory.small.address, headerBytes)
    this.#request()
  }

  #refused(request: InFlight, code: number, piece: number): void {
    const reasons: Record<number, readonly [KvErrorCode, string]> = {
      [status.rkeyRejected]: [
        "KV_RKEY_REJECTED",
        "the peer does not know that key: it restarted, or closed the region",
      ],
      [status.outOfBounds]: ["KV_REGION_BOUNDS", "the piece does not lie inside the peer's region"],
      [status.notGranted]: ["KV_PEER_UNTRUSTED", `the peer did not grant a ${request.move.direction}`],
    }
    const [errorCode, why] =
      reasons[code] ?? (["KV_WIRE_INVALID", `the peer answered status ${code}`] as const)
    if (request.move.stopped) return
    const what = `${this.#peer} refused piece ${piece} of a request of ${request.bytes} bytes`
    const { move } = request
    this.#giveUp(move, new KvError(errorCode, { what, why }))
    if (move.direction === "write" && move.outstanding > 1) {
      this.close("a write was refused while more of it was under way")
    }
  }

  /** Asks for nothing more of a move, and tells why it has ended. */
  #giveUp(move: CallerMove, error: KvError): void {
    move.stopped = true
    const waiting = this.#waiting.indexOf(move)
    if (waiting >= 0) this.#waiting.splice(waiting, 1)
    this.host.emit({ type: "stopped", move: move.id, error: error.toJSON() })
  }

  #moves(): Set<CallerMove> {
    return new Set([...this.#inFlight.map((request) => request.move), ...this.#waiting])
  }
}
