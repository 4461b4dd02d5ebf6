import { KvError } from "../../errors/kv-error.ts"
import { sharedMillis } from "../../os/clock.ts"
import { DescriptorSet } from "../../os/descriptor-set.ts"
import { libfabricAbi as abi } from "../../os/ffi/libfabric-abi.ts"
import { closeEndpoint } from "../../os/libfabric/endpoint.ts"
import { fabricErrorText, type Libfabric, openLibfabric } from "../../os/libfabric/library.ts"
import { type ArenaViews, viewArena } from "../../os/shared-arena.ts"
import { shutSocketsTo } from "../../os/sockets-to.ts"
import type { CompletionSink, LaneWork, RailPort, WorkFailure } from "../rdma/driver.ts"
import { failureOf } from "./failures.ts"
import { kindOf, Lane } from "./lane.ts"
import { type LaneHandle, type PortStart, peerAddress } from "./lane-handle.ts"

/** Looks at one queue before the others have their turn. */
const looksMax = 8
/** How long a rail without a descriptor to wait on may sleep while it has lanes. */
const unwatchedMillis = 2
/** The same while libfabric had no room, or a lane is being connected. */
const retryMillis = 1
/** How long a cut connection's requests may take to be given up. */
const closingMillisMax = 2000
/** The same while requests are under way: a provider that forgets to wake us must not stall a transfer. */
const underWayMillis = 20

/**
 * One rail of libfabric as its thread has it.
 *
 * Every lane has an endpoint and a completion queue of its own, and every request a context, whose place says which it
 * was. When a lane fails or is stopped, its endpoint is closed: after that libfabric touches none of its memory.
 */
export class LibfabricPort implements RailPort {
  readonly descriptors: readonly number[]
  readonly #start: PortStart
  readonly #library: Libfabric
  readonly #lanes = new Map<number, Lane>()
  readonly #watch = new DescriptorSet()
  readonly #page: ArenaViews
  /** Lanes that have ended, and whose requests libfabric has not given up yet. */
  readonly #closing = new Set<Lane>()
  readonly #ends: Lane[] = []
  #waiting = 0

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE, KV_OS. */
  constructor(start: PortStart) {
    this.#start = start
    this.#library = openLibfabric(start.file)
    this.descriptors = [this.#watch.descriptor]
    this.#page = viewArena(start.page)
  }

  get idleMillisMax(): number {
    if (this.#waiting > 0 || this.#closing.size > 0) return retryMillis
    let millis = Number.POSITIVE_INFINITY
    for (const lane of this.#lanes.values()) {
      if (lane.handle.endpoint.descriptor === undefined) return unwatchedMillis
      if (lane.underWay > 0) millis = underWayMillis
    }
    return millis
  }

  attach(number: number, handle: unknown): void {
    const lane = new Lane(number, handle as LaneHandle, this.#library, this.#start)
    this.#lanes.set(number, lane)
    const { descriptor } = lane.handle.endpoint
    if (descriptor !== undefined) this.#watch.add(descriptor)
  }

  detach(number: number): void {
    const lane = this.#lanes.get(number)
    if (lane === undefined) return
    this.#end(lane, undefined)
    this.#closing.delete(lane)
    this.#closeEndpoint(lane)
    this.#lanes.delete(number)
    lane.close()
  }

  room(number: number): number {
    return this.#lanes.get(number)?.room ?? 0
  }

  post(number: number, work: LaneWork, first: number, count: number, seq: number): number {
    const lane = this.#lanes.get(number)
    if (lane === undefined || lane.ended !== undefined) return 0
    const posted = lane.waiting.length > 0 ? 0 : lane.post(work, first, count, seq)
    if (posted < 0) {
      this.#end(lane, this.#callFailure(posted))
      return 0
    }
    if (posted < count) {
      lane.waiting.push({ work, first: first + posted, count: count - posted, seq: seq + posted })
      lane.waitingUnits += count - posted
      this.#waiting += 1
    }
    return count
  }

  probe(number: number): void {
    const lane = this.#lanes.get(number)
    if (lane === undefined || lane.probeWanted) return
    lane.probeWanted = true
    this.#waiting += 1
  }

  stop(number: number): void {
    const lane = this.#lanes.get(number)
    if (lane !== undefined) this.#end(lane, undefined)
  }

  reap(sink: CompletionSink): number {
    let looked = 0
    for (const lane of this.#lanes.values()) {
      if (lane.ended === undefined || this.#closing.has(lane)) looked += this.#drain(lane, sink)
    }
    if (this.#waiting > 0) this.#retry()
    for (const lane of this.#closing) this.#close(lane)
    for (const lane of this.#ends.splice(0)) {
      looked += 1
      sink.ended(lane.number, lane.ended!.failure)
    }
    return looked
  }

  arm(): boolean {
    if (this.#ends.length > 0) return false
    for (const lane of this.#lanes.values()) {
      if (lane.ended !== undefined || lane.handle.endpoint.descriptor === undefined) continue
      if (!lane.queue.mayWait()) return false
    }
    return true
  }

  heard(_which: number, sink: CompletionSink): void {
    // The descriptors belong to the provider: looking at a queue is what takes its event away.
    this.reap(sink)
  }

  [Symbol.dispose](): void {
    for (const number of [...this.#lanes.keys()]) this.detach(number)
    this.#watch.close()
  }

  #drain(lane: Lane, sink: CompletionSink): number {
    let looked = 0
    for (let look = 0; look < looksMax; look++) {
      const count = lane.look()
      if (count === 0) return looked
      if (count === undefined) {
        this.#end(lane, this.#callFailure(-abi.FI_ENOTCONN))
        return looked + 1
      }
      if (count < 0) {
        this.#takeFailure(lane, sink)
        looked += 1
      } else {
        looked += count
        const { contexts } = lane.queue
        for (let i = 0; i < count; i++) {
          this.#completed(lane, contexts[2 * i + 1]! * 2 ** 32 + contexts[2 * i]!, sink)
        }
      }
      // It was closed just now: its queue is no more.
      if (lane.ended !== undefined && !this.#closing.has(lane)) return looked
    }
    return looked
  }

  #completed(lane: Lane, context: number, sink: CompletionSink): void {
    const slot = lane.slotOf(context)
    if (slot === undefined) return
    const seq = lane.seqs[slot]!
    const kind = lane.release(slot)
    if (lane.ended !== undefined) return
    if (kind === kindOf.read) sink.landed(lane.number, "read", seq)
    else if (kind === kindOf.write) sink.landed(lane.number, "write", seq)
    else if (kind === kindOf.probe) this.#proven(lane, sink)
  }

  #proven(lane: Lane, sink: CompletionSink): void {
    const at = lane.handle.probeOffset / 4
    const { u32 } = this.#page
    if (lane.provenBy(u32[at]!, u32[at + 1]!)) return sink.proven(lane.number)
    this.#end(lane, {
      kind: "lane",
      status: "the probe read other bytes than the peer has there",
      vendorCode: 0,
      likelyCause: "the address leads to another process than the one that was introduced",
    })
  }

  #takeFailure(lane: Lane, sink: CompletionSink): void {
    const failure = lane.queue.takeFailure()
    if (failure === undefined) return
    const meaning = failureOf(this.#start.provider, failure)
    // shm does not say whose request it was; then nothing on the lane can be believed any more, which is what `#end` says.
    const slot = lane.slotOf(failure.context)
    const seq = slot === undefined ? 0 : lane.seqs[slot]!
    const kind = slot === undefined ? kindOf.none : lane.release(slot)
    if (lane.ended !== undefined) return
    if (kind === kindOf.read) sink.failed(lane.number, "read", seq, meaning)
    else if (kind === kindOf.write) sink.failed(lane.number, "write", seq, meaning)
    this.#end(lane, meaning)
  }

  /** Posts what libfabric had no room for. */
  #retry(): void {
    this.#waiting = 0
    for (const lane of this.#lanes.values()) {
      if (lane.ended !== undefined) continue
      if (lane.probeWanted && lane.connected) this.#probe(lane)
      while (lane.waiting.length > 0 && lane.ended === undefined) {
        const next = lane.waiting[0]!
        const posted = lane.post(next.work, next.first, next.count, next.seq)
        if (posted < 0) this.#end(lane, this.#callFailure(posted))
        if (posted <= 0) break
        lane.waitingUnits -= posted
        next.first += posted
        next.seq += posted
        next.count -= posted
        if (next.count > 0) break
        lane.waiting.shift()
      }
      if (lane.ended === undefined) this.#waiting += lane.waiting.length + (lane.probeWanted ? 1 : 0)
    }
  }

  #probe(lane: Lane): void {
    const { probeOffset } = lane.handle
    const result = lane.probe(this.#page.address + probeOffset)
    if (result === -abi.FI_EAGAIN) return
    lane.probeWanted = false
    if (result < 0) this.#end(lane, this.#callFailure(result))
  }

  /** The lane carries nothing more. `ended` is reported when nothing of it can touch memory any more. */
  #end(lane: Lane, failure: WorkFailure | undefined): void {
    if (lane.ended !== undefined) return
    lane.ended = { failure, atMillis: sharedMillis() }
    lane.waiting.length = 0
    lane.waitingUnits = 0
    if (!this.#start.closesUnderWay && lane.underWay > 0) shutSocketsTo(peerAddress(lane.handle.peer))
    this.#closing.add(lane)
    this.#close(lane)
  }

  /** Closes an ended lane's endpoint, as soon as the provider survives that. */
  #close(lane: Lane): void {
    if (!this.#start.closesUnderWay && lane.underWay > 0) {
      if (sharedMillis() - lane.ended!.atMillis < closingMillisMax) return
      throw new KvError("KV_OS", {
        what: `libfabric still has ${lane.underWay} requests of a lane that ended ${closingMillisMax} ms ago`,
        why: `its connection is cut, and ${this.#start.provider} crashes when their endpoint is closed`,
        next: "use libfabric 1.18 or later",
      })
    }
    this.#closing.delete(lane)
    this.#closeEndpoint(lane)
    this.#ends.push(lane)
  }

  #closeEndpoint({ handle: { endpoint } }: Lane): void {
    // Before the provider closes it: its number may be somebody else's descriptor right afterwards.
    if (endpoint.descriptor !== undefined) this.#watch.remove(endpoint.descriptor)
    closeEndpoint(endpoint)
  }

  #callFailure(result: number): WorkFailure {
    const error = -result
    const words = fabricErrorText(this.#library, result)
    return failureOf(this.#start.provider, { error, providerError: 0, words })
  }
}
