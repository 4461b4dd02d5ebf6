import { type ControlBlock, ControlMemory } from "../../os/control-memory.ts"
import { libfabricAbi as abi } from "../../os/ffi/libfabric-abi.ts"
import { CompletionQueue } from "../../os/libfabric/completion-queue.ts"
import { usingEndpoint } from "../../os/libfabric/endpoint.ts"
import type { Libfabric } from "../../os/libfabric/library.ts"
import { RemoteMemory } from "../../os/libfabric/remote-memory.ts"
import type { LaneWork, WorkFailure } from "../rdma/driver.ts"
import { type LaneHandle, type PortStart, peerField, peerNumbers } from "./lane-handle.ts"

/** libfabric writes into a request's context until it completes (`FI_CONTEXT2`). */
const contextBytes = abi["sizeof.fi_context2"]

/** What a request was, by its slot in `Lane.kinds`. */
export const kindOf = { read: 0, write: 1, probe: 2, none: 3 } as const

/** Units that libfabric had no room for: they go out after the next completions. */
interface Waiting {
  readonly work: LaneWork
  first: number
  count: number
  seq: number
}

/** One lane as its rail's thread has it: its requests under way, by the slot of their context. */
export class Lane {
  readonly number: number
  readonly handle: LaneHandle
  readonly remote: RemoteMemory
  readonly queue: CompletionQueue
  readonly seqs: Float64Array
  readonly kinds: Uint8Array
  readonly waiting: Waiting[] = []
  /** Requests that libfabric has and that have not completed. */
  underWay = 0
  /** Units in `waiting`. */
  waitingUnits = 0
  probeWanted = false
  /** Set once it can carry nothing more; until its endpoint is closed, requests may still be under way. */
  ended: { readonly failure: WorkFailure | undefined; readonly atMillis: number } | undefined
  readonly #memory: ControlMemory
  readonly #contexts: ControlBlock
  readonly #free: Uint16Array
  readonly #peer: Float64Array
  readonly #copiesInCall: boolean
  #freeCount: number

  constructor(number: number, handle: LaneHandle, library: Libfabric, { depth, copiesInCall }: PortStart) {
    this.number = number
    this.handle = handle
    // shm of 2.x never copies in the call between endpoints of one process.
    this.#copiesInCall = copiesInCall && handle.peerState === undefined
    this.#memory = new ControlMemory(8192 + depth * contextBytes)
    this.#contexts = this.#memory.take(depth * contextBytes)
    this.remote = new RemoteMemory(handle.endpoint, this.#memory)
    this.queue = new CompletionQueue(library, handle.endpoint, this.#memory)
    this.seqs = new Float64Array(depth)
    this.kinds = new Uint8Array(depth).fill(kindOf.none)
    this.#free = Uint16Array.from({ length: depth }, (_, slot) => depth - 1 - slot)
    this.#freeCount = depth
    this.#peer = peerNumbers(handle.peer)
  }

  get connected(): boolean {
    return this.#peer[peerField.connected] === 1
  }

  get room(): number {
    return this.ended !== undefined || !this.connected ? 0 : this.#freeCount - this.waitingUnits
  }

  get busy(): boolean {
    return this.underWay > 0 || this.waiting.length > 0 || this.probeWanted
  }

  /** Posts units until libfabric has no room. Returns how many; a negated error number when it refuses one. */
  post(work: LaneWork, first: number, count: number, seq: number): number {
    const { peerState } = this.handle
    if (peerState === undefined) return this.#post(work, first, count, seq)
    return usingEndpoint(peerState, () => this.#post(work, first, count, seq)) ?? -abi.FI_ENOTCONN
  }

  #post(work: LaneWork, first: number, count: number, seq: number): number {
    const { units, localKeys, remoteKeys } = work
    const reading = work.direction === "read"
    const kind = kindOf[work.direction]
    const peer = this.#peer[peerField.name]!
    const { remote } = this
    for (let done = 0; done < count; done++) {
      const unit = first + done
      if (this.#freeCount === 0) return done
      const slot = this.#free[this.#freeCount - 1]!
      const context = this.#contexts.address + slot * contextBytes
      const address = units.localAddress[unit]!
      const length = units.length[unit]!
      const descriptor = localKeys[units.localKey[unit]!]!
      const remoteAddress = units.remoteAddress[unit]!
      const key = remoteKeys[units.remoteKey[unit]!]!
      const result = reading
        ? remote.read(address, length, descriptor, peer, remoteAddress, key, context)
        : this.#copiesInCall
          ? remote.write(address, length, descriptor, peer, remoteAddress, key, context)
          : remote.writeVisibly(address, length, descriptor, peer, remoteAddress, key, context)
      if (result === -abi.FI_EAGAIN) return done
      if (result < 0) return result
      this.#freeCount -= 1
      this.underWay += 1
      this.seqs[slot] = seq + done
      this.kinds[slot] = kind
    }
    return count
  }

  /** Asks for the peer's probe value, into `address`. Returns 0 or a negated error number. */
  probe(address: number): number {
    const { peerState } = this.handle
    if (peerState === undefined) return this.#probe(address)
    return usingEndpoint(peerState, () => this.#probe(address)) ?? -abi.FI_ENOTCONN
  }

  #probe(address: number): number {
    if (this.#freeCount === 0) return -abi.FI_EAGAIN
    const slot = this.#free[this.#freeCount - 1]!
    const peer = this.#peer
    const result = this.remote.read(
      address,
      8,
      this.handle.probeDescriptor,
      peer[peerField.name]!,
      peer[peerField.address]!,
      peer[peerField.key]!,
      this.#contexts.address + slot * contextBytes,
    )
    if (result < 0) return result
    this.#freeCount -= 1
    this.underWay += 1
    this.kinds[slot] = kindOf.probe
    return 0
  }

  /** Whether a probe read what the peer said it would. */
  provenBy(low: number, high: number): boolean {
    return low === this.#peer[peerField.valueLow] && high === this.#peer[peerField.valueHigh]
  }

  /** Looks at the queue, as `CompletionQueue.read`; undefined when the peer's endpoint was of this process, and is closed. */
  look(): number | undefined {
    const { peerState } = this.handle
    return peerState === undefined ? this.queue.read() : usingEndpoint(peerState, () => this.queue.read())
  }

  /** Takes a completed request's slot back. Returns what it was; `kindOf.none` when nothing was under way there. */
  release(slot: number): number {
    const kind = this.kinds[slot]!
    if (kind === kindOf.none) return kind
    this.kinds[slot] = kindOf.none
    this.#free[this.#freeCount++] = slot
    this.underWay -= 1
    return kind
  }

  /** The slot of the context at an address, which libfabric gave back; undefined for another one. */
  slotOf(context: number): number | undefined {
    const offset = context - this.#contexts.address
    return offset >= 0 && offset < this.#contexts.byteLength ? Math.floor(offset / contextBytes) : undefined
  }

  close(): void {
    this.#memory[Symbol.dispose]()
  }
}
