import { randomFillSync } from "node:crypto"
import { sharedMillis } from "../../os/clock.ts"
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
  proofBytes,
  type RequestHeader,
  readPiece,
  readRequest,
  sessionIdBytes,
  status,
  writeGreeting,
  writeResponse,
} from "../../wire/stream-frames.ts"
import { inside } from "../check-move.ts"
import type { MoverHost, MoverRegion } from "./mover-host.ts"
import { Stream } from "./stream.ts"
import type { StreamMemory } from "./stream-memory.ts"
import { provesSession } from "./stream-proof.ts"

/** A caller that has not proven itself by then is cut off. */
const authenticationMillis = 5000

type Phase = "hello" | "request" | "payload" | "answering"

/**
 * The side that listens: proves its callers, checks each request against its regions, and serves it from place.
 *
 * Requests are received as they come, several at once or one in parts, into the stream's table.
 */
export class ListenerStream extends Stream {
  /** The session that was proven; undefined before. */
  session: string | undefined
  readonly memory: StreamMemory
  #phase: Phase = "hello"
  #request: RequestHeader | undefined
  /** Bytes in the table, and how many of them belong to the request in work. */
  #held = 0
  #taken = 0
  #serving = false
  /** Regions that the request in work touches. */
  readonly #regions = new Set<number>()
  #answer: { status: number; piece: number } = { status: status.ok, piece: 0 }
  readonly #deadlineMillis = sharedMillis() + authenticationMillis

  constructor(host: MoverHost, fd: number, memory: StreamMemory) {
    super(host, fd)
    this.memory = memory
    const { small, table } = memory
    small.u8.fill(0)
    writeGreeting(small.data)
    randomFillSync(small.u8, greetingNonceAt, nonceBytes)
    this.outgoing.push(small.address, greetingBytes)
    this.incoming.push(table.address, helloBytes)
    this.push()
  }

  protected get inPayload(): boolean {
    return this.#phase === "payload"
  }

  get deadlineMillis(): number {
    return this.session === undefined ? this.#deadlineMillis : Number.POSITIVE_INFINITY
  }

  expired(): void {
    this.close("the caller did not prove itself in time")
  }

  /** True when memory of `region` may be read or written by the request in work. */
  uses(region: number): boolean {
    return this.#regions.has(region)
  }

  protected override arrived(): void {
    if (this.#phase !== "request") return
    this.#held = this.memory.table.byteLength - this.incoming.bytes
    this.incoming.clear()
    this.#serve()
  }

  protected received(): void {
    if (this.#phase === "hello") this.#checkHello()
    else if (this.#phase === "payload") this.#respond()
  }

  protected sent(): void {
    if (this.#phase !== "answering") return
    this.#phase = "request"
    this.#regions.clear()
    this.memory.table.u8.copyWithin(0, this.#taken, this.#held)
    this.#held -= this.#taken
    this.#taken = 0
    if (!this.#serving) this.#serve()
  }

  protected ended(): void {
    this.#regions.clear()
  }

  #checkHello(): void {
    const { table, small } = this.memory
    const session = Buffer.from(table.u8.subarray(helloSessionAt, helloSessionAt + sessionIdBytes)).toString(
      "hex",
    )
    const nonce = small.u8.subarray(greetingNonceAt, greetingNonceAt + nonceBytes)
    const proof = table.u8.subarray(helloProofAt, helloProofAt + proofBytes)
    const known = this.host.sessions.get(session)
    const problem = greetingProblem(table.data)
    if (problem !== undefined || known === undefined || !provesSession(proof, known.key, session, nonce)) {
      this.#sendResponse(status.untrusted, 0, 0)
      this.close(problem ?? "the caller did not prove a session that we admitted")
      return
    }
    this.session = session
    this.#phase = "answering"
    this.#sendResponse(status.ok, 0, 0)
  }

  /** Takes the requests that are here, one after the other, until one has to wait. */
  #serve(): void {
    this.#serving = true
    while (this.#phase === "request" && !this.closed) {
      if (this.#next()) continue
      const { address, byteLength } = this.memory.table
      this.incoming.push(address + this.#held, byteLength - this.#held)
      break
    }
    this.#serving = false
  }

  /** Takes the request at the front of the table. Returns false when it is not here as a whole. */
  #next(): boolean {
    if (this.#held < headerBytes) return false
    const request = readRequest(this.memory.table.data)
    if (request === undefined) {
      this.close("a request's header was malformed")
      return true
    }
    this.#taken = headerBytes + request.pieces * pieceBytes
    if (this.#held < this.#taken) return false
    this.#request = request
    this.#answer = this.#check(request)
    if (request.direction === direction.read) this.#respond()
    else this.#takePayload(request)
    return true
  }

  #takePayload(request: RequestHeader): void {
    this.#phase = "payload"
    const { table } = this.memory
    // What came with the table is here already.
    const here = Math.min(this.#held - this.#taken, request.bytes)
    if (this.#answer.status === status.ok) {
      this.host.places.addTo(this.incoming)
      this.incoming.fill(this.host.io)
      this.host.io.scatter(table.address + this.#taken, here)
      this.incoming.advance(here)
    } else {
      // What cannot be placed still has to pass, or the stream would lose its step.
      this.incoming.push(table.address, request.bytes - here)
      this.incoming.redirect(this.host.sink.address, this.host.sink.byteLength)
    }
    this.#taken += here
    if (this.incoming.bytes === 0) this.#respond()
  }

  #respond(): void {
    const request = this.#request!
    const { status: verdict, piece } = this.#answer
    this.#phase = "answering"
    if (request.direction === direction.read && verdict === status.ok) {
      this.#queueResponse(verdict, request.batch, piece, request.bytes)
      this.host.places.addTo(this.outgoing)
      this.push()
    } else {
      this.#sendResponse(verdict, request.batch, piece)
    }
  }

  /** Checks every line of the table before one byte moves. */
  #check(request: RequestHeader): { status: number; piece: number } {
    const rights = this.host.sessions.get(this.session!)?.rights
    const reading = request.direction === direction.read
    if (rights === undefined || !(reading ? rights.read : rights.write)) {
      return { status: status.notGranted, piece: 0 }
    }
    const { data } = this.memory.table
    let [bytes, lastKey] = [0, -1]
    let region: MoverRegion | undefined
    this.host.places.clear()
    for (let i = 0; i < request.pieces; i++) {
      const { rkey, offset, length } = readPiece(data, i)
      if (rkey !== lastKey) {
        region = this.host.regionsByKey.get(rkey)
        if (region === undefined) return { status: status.rkeyRejected, piece: i }
        if (!(reading ? region.access.read : region.access.write))
          return { status: status.notGranted, piece: i }
        this.#regions.add(region.region)
        lastKey = rkey
      }
      if (!inside(offset, length, region!.span.byteLength)) return { status: status.outOfBounds, piece: i }
      this.host.places.push(region!.span.addressOf(offset, length), length)
      bytes += length
    }
    return { status: bytes === request.bytes ? status.ok : status.malformed, piece: 0 }
  }

  #sendResponse(verdict: number, batch: number, piece: number): void {
    this.#queueResponse(verdict, batch, piece, 0)
    this.push()
  }

  #queueResponse(verdict: number, batch: number, piece: number, bytes: number): void {
    writeResponse(this.memory.small.data, { status: verdict, batch, piece, bytes })
    this.outgoing.push(this.memory.small.address, headerBytes)
  }
}
