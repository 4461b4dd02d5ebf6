import { libc } from "../../os/ffi/libc.ts"
import type { CompletionSink, Direction, LaneWork, RailPort, WorkFailure } from "./driver.ts"
import { fieldOf, hangs, type PaperRailPort, PaperTables, type PaperTraits } from "./paper-world.test.kit.ts"

interface Request {
  readonly direction: Direction
  readonly seq: number
  localAddress: number
  readonly localKey: number
  remoteAddress: number
  remoteKey: number
  readonly length: number
}

interface PaperLane {
  readonly number: number
  /** Its row among the ends. */
  readonly end: number
  readonly queue: Request[]
  /** When the request that is being overtaken is carried out; undefined when none is. */
  overtakenUntil: number | undefined
  /** When the next one may be overtaken. */
  overtakenNext: number
  /** Writes that are acknowledged and have not landed: there they stay until the notice behind them. */
  readonly inFlight: Request[]
  /** Notices that will be answered at the next look. */
  readonly answers: number[]
  failure: WorkFailure | undefined
  failed: boolean
  /** Looks that a failed lane has before its end. */
  looksLeft: number
  probing: boolean
}

const depth = 64
/** Requests of a lane that are carried out in one look. */
const burst = 16
/** How long after its report the bytes of a mistake land: long after whoever waited for it has looked. */
const lateMillis = 500
/** A request that is overtaken stays behind all others for so long, and the next one comes so much later. */
const overtakenMillis = { behind: 20, between: 100 } as const

const failure = (kind: WorkFailure["kind"], status: string): WorkFailure => ({
  kind,
  status,
  vendorCode: 0,
  likelyCause: "the fabric on paper says so",
})

/** The NIC on paper: requests wait in a queue, and are carried out at the next looks, in an order of its own. */
export class PaperPort implements RailPort {
  readonly descriptors: readonly number[] = []
  readonly #tables: PaperTables
  readonly #traits: PaperTraits
  readonly #rail: number
  readonly #lanes = new Map<number, PaperLane>()
  /** Bytes of a NIC that reports too early. */
  readonly #late: { readonly at: number; readonly requests: readonly Request[] }[] = []
  #random = 12345

  constructor({ world, traits, rail }: PaperRailPort) {
    this.#tables = new PaperTables(world)
    this.#traits = traits
    this.#rail = rail
  }

  get idleMillisMax(): number {
    if (this.#late.length > 0) return 1
    for (const { queue, answers, probing, failed } of this.#lanes.values())
      if (failed || probing || queue.length + answers.length > 0) return 1
    return 10
  }

  attach(lane: number, handle: unknown): void {
    this.#lanes.set(lane, {
      number: lane,
      end: handle as number,
      queue: [],
      overtakenUntil: undefined,
      overtakenNext: 0,
      inFlight: [],
      answers: [],
      failure: undefined,
      failed: false,
      looksLeft: 3,
      probing: false,
    })
  }

  detach(lane: number): void {
    this.#lanes.delete(lane)
  }

  room(lane: number): number {
    const at = this.#lanes.get(lane)
    return at === undefined || at.failed ? 0 : depth - at.queue.length
  }

  post(lane: number, work: LaneWork, first: number, count: number, seq: number, token: number): number {
    const at = this.#lanes.get(lane)
    if (at === undefined || at.failed) return 0
    const { units, localKeys, remoteKeys, direction } = work
    for (let i = 0; i < count; i++) {
      const unit = first + i
      const request: Request = {
        direction,
        seq: seq + i,
        localAddress: units.localAddress[unit]!,
        localKey: localKeys[units.localKey[unit]!]!,
        remoteAddress: units.remoteAddress[unit]!,
        remoteKey: remoteKeys[units.remoteKey[unit]!]!,
        length: units.length[unit]!,
      }
      this.#mistake(request)
      at.queue.push(request)
    }
    if (token >= 0) at.queue.push({ ...at.queue.at(-1)!, length: 0, seq: -1 - token })
    return count
  }

  probe(lane: number): void {
    const at = this.#lanes.get(lane)
    if (at !== undefined) at.probing = true
  }

  stop(lane: number): void {
    const at = this.#lanes.get(lane)
    if (at !== undefined) this.#fail(at, undefined)
  }

  /** In native code, where nothing of JavaScript's can end it. */
  #hang(): void {
    const hang = (): number => this.#tables.get("rail", this.#rail, fieldOf.rail.hang)
    while (hang() === hangs.untilFreed) libc.poll(0, 0, 10)
    if (hang() === hangs.forEver) for (;;) libc.poll(0, 0, -1)
  }

  reap(sink: CompletionSink): number {
    let seen = 0
    this.#hang()
    for (const lane of this.#lanes.values()) {
      if (lane.failed) {
        seen += this.#end(lane, sink)
        continue
      }
      const peer = this.#hold(lane)
      if (peer === undefined) {
        // A probe waits for its peer; a request does not.
        if (lane.queue.length > 0) this.#fail(lane, failure("lane", "PAPER_RETRY_EXCEEDED"))
        continue
      }
      if (lane.probing) {
        lane.probing = false
        seen += 1
        sink.proven(lane.number)
      }
      seen += this.#answer(lane, sink) + this.#carryOut(lane, sink)
      this.#tables.release("end", peer)
    }
    this.#landLate()
    return seen
  }

  arm(): boolean {
    return true
  }

  heard(): void {}

  [Symbol.dispose](): void {}

  /** The answers to notices of an earlier look: by now the writes before them have landed. */
  #answer(lane: PaperLane, sink: CompletionSink): number {
    const tokens = lane.answers.splice(0)
    if (tokens.length > 0) this.#land(this.#shuffled(lane.inFlight.splice(0)))
    for (const token of tokens) sink.confirmed(lane.number, token)
    return tokens.length
  }

  #carryOut(lane: PaperLane, sink: CompletionSink): number {
    const requests = this.#next(lane)
    const [reported, landing]: [Request[], Request[]] = [[], []]
    let why: WorkFailure | undefined
    let done = 0
    for (const request of requests) {
      done += 1
      if (request.seq < 0) {
        this.#notice(lane, -1 - request.seq, sink)
        continue
      }
      why = this.#refusal(lane, request)
      if (why !== undefined) break
      reported.push(request)
      const acknowledgedOnly = request.direction === "write" && !this.#traits.writesAreVisible
      ;(acknowledgedOnly ? lane.inFlight : landing).push(request)
    }
    if (this.#traits.mistake === "early read")
      this.#late.push({ at: performance.now() + lateMillis, requests: landing })
    else this.#land(this.#shuffled(landing))
    this.#report(lane, reported, sink)
    if (why === undefined) return done
    const { direction, seq } = requests[done - 1]!
    lane.queue.unshift(...requests.slice(done))
    sink.failed(lane.number, direction, seq, why)
    this.#fail(lane, why)
    return done
  }

  /**
   * Takes what is carried out in this look. Without order, now and then one request stays until all others that the lane has are
   * done, and for a while after that: whoever thinks it done because of those is wrong for long enough to be seen.
   */
  #next(lane: PaperLane): Request[] {
    const { ordered, writesAreVisible } = this.#traits
    // No notice overtakes the writes that it is to answer for.
    if (ordered || !writesAreVisible) return lane.queue.splice(0, burst)
    const now = performance.now()
    if (lane.overtakenUntil === undefined && lane.queue.length > 1 && now >= lane.overtakenNext)
      lane.overtakenUntil = Number.POSITIVE_INFINITY
    if (lane.overtakenUntil === undefined) return lane.queue.splice(0, burst)
    // It is the first of the queue until it is carried out.
    if (lane.queue.length > 1) return lane.queue.splice(1, burst)
    lane.overtakenUntil = Math.min(lane.overtakenUntil, now + overtakenMillis.behind)
    if (now < lane.overtakenUntil) return []
    lane.overtakenUntil = undefined
    lane.overtakenNext = now + overtakenMillis.between
    return lane.queue.splice(0, burst)
  }

  /** On an ordered fabric the last of a run tells for all; else each tells for itself, in any order. */
  #report(lane: PaperLane, requests: readonly Request[], sink: CompletionSink): void {
    if (this.#traits.ordered) {
      for (const direction of ["read", "write"] as const) {
        const last = requests.findLast((request) => request.direction === direction)
        if (last !== undefined) sink.landed(lane.number, direction, last.seq)
      }
      return
    }
    for (const { direction, seq } of this.#shuffled(requests)) sink.landed(lane.number, direction, seq)
  }

  #notice(lane: PaperLane, token: number, sink: CompletionSink): void {
    if (this.#traits.mistake !== "early answer") {
      lane.answers.push(token)
      return
    }
    this.#late.push({ at: performance.now() + lateMillis, requests: lane.inFlight.splice(0) })
    sink.confirmed(lane.number, token)
  }

  #landLate(): void {
    while (this.#late.length > 0 && this.#late[0]!.at <= performance.now())
      this.#land(this.#late.shift()!.requests)
  }

  /** Lets the bytes of admitted requests land, and lets go of their registrations. */
  #land(requests: readonly Request[]): void {
    const tables = this.#tables
    for (const { direction, localAddress, localKey, remoteAddress, remoteKey, length } of requests) {
      const [near, far] = [tables.rowOf(localKey)!, tables.rowOf(remoteKey)!]
      const place = tables.placeOf(far)
      const there = place.address + remoteAddress - place.iova
      if (direction === "read") libc.memmove(localAddress, there, length)
      else libc.memmove(there, localAddress, length)
      this.#letGo(near, far)
    }
  }

  #letGo(...registrations: readonly number[]): void {
    for (const row of registrations) this.#tables.release("registration", row)
  }

  /** What a NIC would complete a request with, if not with success. Then both registrations are held until it has landed. */
  #refusal(lane: PaperLane, request: Request): WorkFailure | undefined {
    if (!this.#isLinkUp(lane)) return failure("lane", "PAPER_RETRY_EXCEEDED")
    if (this.#tables.get("rail", this.#rail, fieldOf.rail.unitsLeft) > 0)
      this.#tables.add("rail", this.#rail, fieldOf.rail.unitsLeft, -1)
    const { direction, length } = request
    const [remoteRail, rights] = this.#peerOf(lane)
    const wanted = direction === "read" ? 1 : 2
    const near = this.#admit(request.localKey, this.#rail, request.localAddress, length, 0, "address")
    if (near === undefined) return failure("local", "PAPER_LOCAL_PROTECTION")
    const allowed = (rights & wanted) !== 0
    const far = allowed
      ? this.#admit(request.remoteKey, remoteRail, request.remoteAddress, length, wanted, "iova")
      : undefined
    if (far !== undefined) return undefined
    this.#letGo(near)
    return failure("refused", "PAPER_REMOTE_ACCESS")
  }

  /** Holds the registration of a key, if the request fits it: its rail, its bounds and its rights. */
  #admit(
    key: number,
    rail: number,
    at: number,
    length: number,
    wanted: number,
    start: "address" | "iova",
  ): number | undefined {
    const tables = this.#tables
    const { registration } = fieldOf
    const row = tables.rowOf(key)
    if (row === undefined || !tables.hold("registration", row)) return undefined
    const place = tables.placeOf(row)
    const offset = at - place[start]
    const fits =
      tables.get("registration", row, registration.rail) === rail &&
      (tables.get("registration", row, registration.rights) & wanted) === wanted &&
      offset >= 0 &&
      offset + length <= place.byteLength
    if (fits) return row
    this.#letGo(row)
    return undefined
  }

  /** The peer's rail and what its end allows. */
  #peerOf(lane: PaperLane): readonly [rail: number, rights: number] {
    const peer = this.#tables.get("end", lane.end, fieldOf.end.peer)
    return [
      this.#tables.get("end", peer, fieldOf.end.rail),
      this.#tables.get("end", peer, fieldOf.end.rights),
    ]
  }

  #isLinkUp(lane: PaperLane): boolean {
    const [remoteRail] = this.#peerOf(lane)
    return [this.#rail, remoteRail].every(
      (rail) => this.#tables.get("rail", rail, fieldOf.rail.unitsLeft) !== 0,
    )
  }

  /** Holds the peer's end, so that it is not closed while requests are carried out; undefined when nobody is there. */
  #hold(lane: PaperLane): number | undefined {
    const peer = this.#tables.get("end", lane.end, fieldOf.end.peer)
    if (peer < 0 || !this.#tables.hold("end", peer)) return undefined
    if (this.#isLinkUp(lane)) return peer
    this.#tables.release("end", peer)
    return undefined
  }

  #fail(lane: PaperLane, why: WorkFailure | undefined): void {
    lane.failure ??= why
    lane.failed = true
    this.#tables.set("end", lane.end, fieldOf.end.live, 0)
  }

  /**
   * Flushes a failed lane. For some looks what is queued may still land, as it may with a real one; then its end is reported, when
   * nobody works with its memory any more.
   */
  #end(lane: PaperLane, sink: CompletionSink): number {
    if (lane.looksLeft > 0) {
      lane.looksLeft -= 1
      this.#landUnheard(lane)
      return 0
    }
    if (this.#tables.get("end", lane.end, fieldOf.end.busy) > 0) return 0
    if (this.#traits.mistake === "lands after its end") {
      // Again and again, so that one of them meets whoever uses the memory next.
      for (const millis of [10, 30, 60, 100]) {
        const requests = lane.queue.filter(
          (request) => request.seq >= 0 && this.#refusal(lane, request) === undefined,
        )
        this.#late.push({ at: performance.now() + millis, requests })
      }
      this.#late.sort((a, b) => a.at - b.at)
    }
    const flushed = lane.queue.splice(0).filter(({ seq }) => seq >= 0)
    for (const { direction, seq } of flushed)
      sink.failed(lane.number, direction, seq, failure("flushed", "PAPER_FLUSHED"))
    for (const { localKey, remoteKey } of lane.inFlight.splice(0))
      this.#letGo(this.#tables.rowOf(localKey)!, this.#tables.rowOf(remoteKey)!)
    this.#lanes.delete(lane.number)
    sink.ended(lane.number, lane.failure)
    return 1 + flushed.length
  }

  /** A few requests of a failing lane that nobody will hear of as done. */
  #landUnheard(lane: PaperLane): void {
    const peer = this.#hold(lane)
    if (peer === undefined) return
    for (const request of lane.queue.slice(0, 4)) {
      if (request.seq >= 0 && this.#refusal(lane, request) === undefined) this.#land([request])
    }
    this.#tables.release("end", peer)
  }

  #mistake(request: Request): void {
    const { mistake } = this.#traits
    const row = this.#tables.rowOf(request.remoteKey)
    if (row === undefined) return
    if (mistake === "base address") request.remoteAddress = this.#tables.placeOf(row).iova
    if (mistake !== "key of the local rail") return
    const near = this.#tables.rowOf(request.localKey)!
    const index = this.#tables.get("registration", near, fieldOf.registration.index)
    request.remoteKey = this.#tables.siblingKey(row, index)
  }

  #shuffled<T>(list: readonly T[]): T[] {
    const mixed = [...list]
    for (let i = mixed.length - 1; i > 0; i--) {
      this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0
      const j = this.#random % (i + 1)
      ;[mixed[i], mixed[j]] = [mixed[j]!, mixed[i]!]
    }
    return mixed
  }
}
