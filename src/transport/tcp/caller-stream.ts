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
  status,
  writeGreeting,
  writePiece,
  writeRequest,
} from "../../wire/stream-frames.ts"
import { CallerMove, type RequestRange } from "./caller-move.ts"
import { hashLanded } from "./landed-hashes.ts"
import type { MoverHost } from "./mover-host.ts"
import type { ConnectCommand, ExpressCommand, PostCommand } from "./mover-messages.ts"
import type { RailPieces } from "./rail-pieces.ts"
import { refusal } from "./refusal.ts"
import { Stream } from "./stream.ts"
import { requestsInFlightMax, type StreamMemory } from "./stream-memory.ts"
import { streamProof } from "./stream-proof.ts"

type Phase = "connecting" | "greeting" | "verdict" | "response" | "payload" | "lent" | "closed"

/** A request on its way: which part of which move it serves, and the control memory it sits in. */
interface InFlight {
  readonly batch: number
  readonly move: CallerMove
  readonly range: RequestRange
  /** Undefined for a request that the main thread sent from memory of its own. */
  readonly slot: number | undefined
  /** How many bytes of the stream, from its first request on, end with this request and its payload. */
  readonly endsAt: number
}

/** The side that connects: proves itself, then asks for pieces and keeps a few requests on their way. */
export class CallerStream extends Stream {
  readonly connection: number
  readonly memory: StreamMemory
  readonly #express: boolean
  readonly #session: string
  readonly #key: Uint8Array
  readonly #peer: string
  readonly #connectDeadline: number
  #phase: Phase = "connecting"
  #nextBatch = 1
  #queuedBytes = 0
  /** No move ends before this. It may name one that is over: then nothing happens, and the next is looked for. */
  #soonest = Number.POSITIVE_INFINITY
  readonly #freeSlots = Array.from({ length: requestsInFlightMax }, (_, slot) => slot)
  /** Moves that have neither ended nor been given up. */
  readonly #live = new Map<number, CallerMove>()
  readonly #waiting: CallerMove[] = []
  readonly #inFlight: InFlight[] = []

  constructor(host: MoverHost, fd: number, memory: StreamMemory, command: ConnectCommand) {
    super(host, fd)
    this.connection = command.connection
    this.memory = memory
    this.#express = command.express
    this.#session = command.session
    this.#key = command.key
    this.#peer = `${command.host} port ${command.port}`
    this.#connectDeadline = command.deadlineMillis
  }

  override get holdsSocket(): boolean {
    return this.#phase !== "lent"
  }

  override get wants(): number {
    if (this.#phase === "connecting") return interest.write
    // Without a request on its way nothing should come, but the peer's end of the stream must be noticed.
    return super.wants | interest.read
  }

  protected get inPayload(): boolean {
    return this.#phase === "payload"
  }

  get deadlineMillis(): number {
    return this.#up ? this.#soonest : this.#connectDeadline
  }

  override ready(events: number): void {
    if (this.#phase === "connecting") return this.#connected()
    if ((events & interest.read) !== 0 && this.incoming.bytes === 0) {
      this.incoming.push(this.memory.small.address, headerBytes)
    }
    super.ready(events)
  }

  expired(nowMillis: number): void {
    if (!this.#up) {
      return this.#fail("KV_DEADLINE", `no stream to ${this.#peer} was up before the deadline`)
    }
    this.#soonest = Number.POSITIVE_INFINITY
    for (const move of [...this.#live.values()]) {
      if (nowMillis < move.deadlineMillis) this.#soonest = Math.min(this.#soonest, move.deadlineMillis)
      else this.stop(move.id, "KV_DEADLINE", `${move.bytesDone} bytes had arrived when the deadline passed`)
    }
  }

  uses(region: number): boolean {
    for (const move of this.#live.values()) if (move.pieces.regions.includes(region)) return true
    return false
  }

  /** Takes a new move; its requests go out as slots are free. */
  start(command: PostCommand, pieces: RailPieces): void {
    const move = new CallerMove(command.move, command.direction, pieces, command.deadlineMillis)
    this.#add(move)
    this.#waiting.push(move)
    this.#request()
  }

  /** Takes the socket back from the main thread, with the rest of one answer still to come. */
  takeBack(command: ExpressCommand): void {
    const { batch, pieces, received, header } = command
    const move = new CallerMove(command.move, "read", pieces, command.deadlineMillis)
    const range = move.next()
    move.outstanding = 1
    this.#add(move)
    this.#inFlight.push({ batch, move, range, slot: undefined, endsAt: 0 })
    this.#phase = "response"
    this.host.changed()
    const { small } = this.memory
    small.u8.set(header)
    this.incoming.push(small.address, headerBytes)
    this.incoming.advance(header.byteLength)
    if (this.incoming.bytes > 0) return
    this.#takeResponse()
    if ((this.#phase as Phase) !== "payload") return
    this.incoming.advance(received - headerBytes)
    this.arrived()
    if (this.incoming.bytes === 0) this.#finishRequest()
  }

  /**
   * Ends a move early. When this returns, nothing of it touches its memory any more.
   *
   * A read's late bytes go to the sink. A write that is under way cannot be taken back, so its stream is closed.
   */
  stop(id: number, code: KvErrorCode, what: string): void {
    const move = this.#live.get(id)
    if (move === undefined) return
    this.#giveUp(move, new KvError(code, { what }))
    if (move.direction === "write" && move.outstanding > 0) {
      return this.close("a write was stopped half way, and its bytes cannot be called back")
    }
    if (this.#phase === "payload" && this.#inFlight[0]?.move === move) {
      this.incoming.redirect(this.host.sink.address, this.host.sink.byteLength)
    }
    this.#request()
  }

  protected override arrived(): void {
    const { move, range } = this.#inFlight[0] ?? {}
    if (this.#phase !== "payload" || move === undefined || move.stopped) return
    this.#hash(move, range!.first + (this.incoming.bytes === 0 ? range!.count - 1 : this.incoming.passed))
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
    const { connection } = this
    this.#phase = "closed"
    for (const move of this.#live.keys()) this.host.emit({ type: "stopped", connection, move, error })
    this.#live.clear()
    this.#waiting.length = 0
    this.#inFlight.length = 0
    this.host.emit({ type: "lost", connection, express: this.#express, error })
  }

  /** True once moves can be asked for. */
  get #up(): boolean {
    return this.#phase === "response" || this.#phase === "payload" || this.#phase === "lent"
  }

  #add(move: CallerMove): void {
    this.#live.set(move.id, move)
    this.#soonest = Math.min(this.#soonest, move.deadlineMillis)
  }

  /** Hashes what lies in pieces before `landed`. */
  #hash(move: CallerMove, landed: number): void {
    const { hashes } = move.pieces
    if (hashes === undefined) return
    move.hashed = hashLanded(hashes, move.hashed, landed, (region) => this.host.regionsById.get(region)!.span)
  }

  #fail(code: KvErrorCode, what: string, why?: string): void {
    const next = "check that the peer runs, and that nothing between blocks the port"
    const text = why === undefined ? { what, next } : { what, why, next }
    const error = new KvError(code, text).toJSON()
    this.host.emit({ type: "lost", connection: this.connection, express: this.#express, error })
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
    this.host.sockets.fitToPeer(this.fd)
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
    if (this.#express) this.#lend()
    else this.host.emit({ type: "connected", connection: this.connection })
  }

  /** Gives the socket to the main thread: from here on it is not watched here, nor closed. */
  #lend(): void {
    this.#phase = "lent"
    this.host.changed()
    this.host.emit({ type: "lent", connection: this.connection, fd: this.fd })
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
    const range = move.next()
    const { first, skipped, count, bytes } = range
    const { length, rkey, remoteOffset } = move.pieces
    const batch = this.#nextBatch
    this.#nextBatch = (this.#nextBatch % 0xffffffff) + 1
    writeRequest(data, { direction: direction[move.direction], batch, pieces: count, bytes })
    let left = bytes
    for (let i = 0; i < count; i++) {
      const passed = i === 0 ? skipped : 0
      const taken = Math.min(length[first + i]! - passed, left)
      writePiece(data, i, rkey[first + i]!, taken, remoteOffset[first + i]! + passed)
      left -= taken
    }
    const tableEnd = headerBytes + count * pieceBytes
    this.outgoing.push(address, tableEnd)
    this.#queuedBytes += tableEnd
    if (move.direction === "write") {
      move.addPlaces(range, this.outgoing)
      this.#queuedBytes += bytes
    }
    move.outstanding += 1
    this.#inFlight.push({ batch, move, range, slot, endsAt: this.#queuedBytes })
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
    if (response.bytes !== request.range.bytes)
      return this.close("an answer has another length than its request")
    this.#phase = "payload"
    if (request.move.stopped) {
      this.incoming.push(this.host.sink.address, request.range.bytes)
      this.incoming.redirect(this.host.sink.address, this.host.sink.byteLength)
      return
    }
    request.move.addPlaces(request.range, this.incoming)
  }

  #finishRequest(): void {
    const { move, slot, range } = this.#inFlight.shift()!
    this.#phase = "response"
    if (slot !== undefined) this.#freeSlots.push(slot)
    move.answered(range.bytes)
    // First, so that whoever hears of the end can use the express stream again at once.
    if (this.#express) this.#lend()
    if (move.finished && !move.stopped) this.#finish(move)
    if (this.#inFlight.length > 0) this.incoming.push(this.memory.small.address, headerBytes)
    this.#request()
  }

  #finish(move: CallerMove): void {
    this.#hash(move, move.pieces.count)
    this.#live.delete(move.id)
    this.host.emit({ type: "moved", connection: this.connection, move: move.id, bytes: move.bytesDone })
  }

  #refused({ move, range }: InFlight, code: number, piece: number): void {
    if (move.stopped) return
    this.#giveUp(move, refusal(this.#peer, move.direction, range.bytes, code, piece))
    if (move.direction === "write" && move.outstanding > 1) {
      this.close("a write was refused while more of it was under way")
    }
  }

  /** Asks for nothing more of a move, and tells why it has ended. */
  #giveUp(move: CallerMove, error: KvError): void {
    move.stopped = true
    this.#live.delete(move.id)
    const waiting = this.#waiting.indexOf(move)
    if (waiting >= 0) this.#waiting.splice(waiting, 1)
    const { connection } = this
    this.host.emit({ type: "stopped", connection, move: move.id, error: error.toJSON() })
  }
}
