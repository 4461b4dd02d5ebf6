import { ControlMemory } from "../../os/control-memory.ts"
import { ibverbsAbi as abi } from "../../os/ffi/ibverbs-abi.ts"
import { errnoName } from "../../os/os-error.ts"
import { VerbsCalls } from "../../os/verbs/verbs-calls.ts"
import type { VerbsRailPointers } from "../../os/verbs/verbs-rail.ts"
import { opcode, WorkRequests } from "../../os/verbs/work-requests.ts"
import { chainMax, signalEvery } from "../../plan/chains.ts"
import type { CompletionSink, LaneWork, RailPort, WorkFailure } from "../rdma/driver.ts"
import { statusFailure } from "./completion-status.ts"
import { VerbsLane, type VerbsLaneHandle } from "./verbs-lane.ts"

/** What a completion is of. It stands in the top bits of a work request's id, above the lane. */
const kind = { read: 0, write: 1, notice: 2, receive: 3 } as const
const kindShift = 30
const laneMask = 2 ** 28 - 1

/** Notices: a token below 2^30; the answer to it has this bit; and one token is the probe's. */
const answerBit = 2 ** 30
const probeToken = 2 ** 30 - 1

/** One verbs rail as its thread has it: one completion queue for all its lanes, and a chain that is composed anew each time. */
export class VerbsPort implements RailPort {
  readonly descriptors: readonly number[]
  readonly idleMillisMax = Number.POSITIVE_INFINITY
  readonly #memory: ControlMemory
  readonly #calls: VerbsCalls
  readonly #chain: WorkRequests
  readonly #lanes = new Map<number, VerbsLane>()
  /** Lanes that may have come to their end since the last reaping. */
  readonly #ending = new Set<VerbsLane>()
  /** Lanes that owe their peer an answer and had no room for it. */
  readonly #owing = new Set<VerbsLane>()

  constructor(pointers: VerbsRailPointers) {
    this.#memory = new ControlMemory(VerbsCalls.controlBytes + WorkRequests.controlBytes(chainMax) + 4096)
    this.#calls = new VerbsCalls(pointers, this.#memory)
    this.#chain = new WorkRequests(this.#memory, chainMax)
    this.descriptors = [pointers.channelFd, pointers.asyncFd]
  }

  attach(lane: number, handle: unknown): void {
    const attached = new VerbsLane(lane, handle as VerbsLaneHandle)
    this.#lanes.set(lane, attached)
    for (let i = 0; i < attached.receives; i++) this.#receive(attached)
  }

  detach(lane: number): void {
    this.#lanes.delete(lane)
  }

  room(lane: number): number {
    return this.#lanes.get(lane)?.room ?? 0
  }

  post(lane: number, work: LaneWork, first: number, count: number, seq: number, token: number): number {
    const at = this.#lanes.get(lane)
    if (at === undefined || at.failed) return 0
    let done = 0
    while (done < count) {
      const length = Math.min(chainMax, count - done)
      const last = done + length === count
      this.#compose(at, work, first + done, length, seq + done, last ? token : -1)
      const taken = this.#ring(at, length)
      done += taken
      if (taken < length) return done
    }
    return done
  }

  probe(lane: number): void {
    const at = this.#lanes.get(lane)
    if (at !== undefined) this.#send(at, probeToken)
  }

  stop(lane: number): void {
    const at = this.#lanes.get(lane)
    if (at !== undefined) this.#fail(at, undefined)
  }

  reap(sink: CompletionSink): number {
    const calls = this.#calls
    let seen = 0
    for (;;) {
      const found = calls.poll()
      if (found <= 0) {
        if (found < 0) sink.broken(`ibv_poll_cq answered ${found}`)
        break
      }
      seen += found
      for (let i = 0; i < found; i++) this.#complete(i, sink)
      // More may have come; but others of this thread want their turn.
      if (seen >= 1024) break
    }
    for (const lane of this.#owing) this.#payBack(lane)
    for (const lane of this.#ending) this.#endIfQuiet(lane, sink)
    return seen
  }

  arm(): boolean {
    if (this.#ending.size > 0) {
      for (const lane of this.#ending) if (lane.quiet) return false
    }
    this.#calls.requestNotification()
    return true
  }

  heard(which: number, sink: CompletionSink): void {
    if (which === 0) return this.#calls.takeNotification()
    const { type, element } = this.#calls.takeDeviceEvent()
    if (type === abi.IBV_EVENT_DEVICE_FATAL) sink.broken("the device reported a fatal error")
    else if (queuePairEvents.has(type)) {
      for (const lane of this.#lanes.values()) {
        if (lane.queuePair === element && !lane.failed) this.#fail(lane, undefined)
      }
    }
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]()
  }

  #compose(lane: VerbsLane, work: LaneWork, first: number, length: number, seq: number, token: number): void {
    const { units, localKeys, remoteKeys, direction } = work
    const reading = direction === "read"
    const code = reading ? opcode.read : opcode.write
    const idHigh = idOf(reading ? kind.read : kind.write, lane.number)
    for (let i = 0; i < length; i++) {
      const unit = first + i
      const lastOne = i === length - 1
      this.#chain.set(
        i,
        code,
        lastOne || i % signalEvery === signalEvery - 1,
        lane.next(seq + i),
        idHigh,
        units.localAddress[unit]!,
        units.length[unit]!,
        localKeys[units.localKey[unit]!]!,
        units.remoteAddress[unit]!,
        remoteKeys[units.remoteKey[unit]!]!,
      )
    }
    if (token >= 0) this.#chain.setImmediate(length - 1, opcode.writeWithNotice, token)
  }

  /** Posts the chain. Returns how many requests were taken; with fewer the lane has failed. */
  #ring(lane: VerbsLane, length: number): number {
    this.#chain.close(length)
    const code = this.#calls.postSend(lane.queuePair, this.#chain.address)
    this.#chain.open(length)
    if (code === 0) return length
    const taken = this.#chain.placeOf(this.#calls.firstRefused)
    lane.takeBack(length - taken)
    this.#fail(lane, {
      kind: "lane",
      status: `ibv_post_send: ${errnoName(code)}`,
      vendorCode: 0,
      likelyCause: "the queue pair is in its error state, or its send queue is full",
    })
    return taken
  }

  #send(lane: VerbsLane, token: number): boolean {
    if (lane.failed || !lane.hasSlot) return false
    this.#chain.setNotice(0, lane.next(-1), idOf(kind.notice, lane.number), token)
    return this.#ring(lane, 1) === 1
  }

  #receive(lane: VerbsLane): void {
    const code = this.#calls.postReceive(lane.queuePair, 0, idOf(kind.receive, lane.number))
    if (code !== 0) this.#fail(lane, undefined)
  }

  #complete(i: number, sink: CompletionSink): void {
    const calls = this.#calls
    const high = calls.idHigh(i)
    const lane = this.#lanes.get(high & laneMask)
    if (lane === undefined) return
    const what = high >>> kindShift
    const status = calls.status(i)
    if (what === kind.receive) {
      if (status === abi.IBV_WC_SUCCESS) this.#hear(lane, calls.immediate(i), sink)
      // The peer's end failed, or ours was stopped: nothing more is received here.
      else this.#fail(lane, undefined)
      return
    }
    const seq = lane.completed(calls.idLow(i))
    const direction = what === kind.read ? "read" : "write"
    if (status === abi.IBV_WC_SUCCESS) {
      if (what !== kind.notice) sink.landed(lane.number, direction, seq)
      return
    }
    const failure = statusFailure(status, calls.vendorCode(i), what === kind.notice ? "notice" : direction)
    if (what !== kind.notice) sink.failed(lane.number, direction, seq, failure)
    this.#fail(lane, failure)
  }

  /** A notice or an answer has come. The receive that it used up is replaced first. */
  #hear(lane: VerbsLane, immediate: number | undefined, sink: CompletionSink): void {
    this.#receive(lane)
    if (immediate === undefined) return
    if ((immediate & answerBit) === 0) {
      if (lane.owe(immediate)) this.#payBack(lane)
      return
    }
    const token = immediate & ~answerBit
    if (token === probeToken) sink.proven(lane.number)
    else sink.confirmed(lane.number, token)
  }

  #payBack(lane: VerbsLane): void {
    this.#owing.add(lane)
    while (lane.owed !== undefined && this.#send(lane, lane.owed | answerBit)) lane.paid()
    if (lane.owed === undefined || lane.failed) this.#owing.delete(lane)
  }

  /** Everything that is posted on the lane is flushed from here on; its end is reported when all of that has come. */
  #fail(lane: VerbsLane, failure: WorkFailure | undefined): void {
    if (failure !== undefined && failure.kind !== "flushed") lane.failure ??= failure
    if (!lane.failed) {
      lane.failed = true
      this.#calls.fail(lane.queuePair)
    }
    this.#ending.add(lane)
  }

  #endIfQuiet(lane: VerbsLane, sink: CompletionSink): void {
    if (!lane.quiet) return
    this.#ending.delete(lane)
    this.#owing.delete(lane)
    if (lane.ended) return
    lane.ended = true
    sink.ended(lane.number, lane.failure)
  }
}

const idOf = (what: number, lane: number): number => (what << kindShift) | lane

const queuePairEvents: ReadonlySet<number> = new Set([
  abi.IBV_EVENT_QP_FATAL,
  abi.IBV_EVENT_QP_REQ_ERR,
  abi.IBV_EVENT_QP_ACCESS_ERR,
])
