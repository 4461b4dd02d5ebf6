import type { ControlBlock, ControlMemory } from "../control-memory.ts"
import { ibverbsAbi as abi } from "../ffi/ibverbs-abi.ts"

/** What a work request does, by its number in the library. */
export const opcode = {
  write: abi.IBV_WR_RDMA_WRITE,
  writeWithNotice: abi.IBV_WR_RDMA_WRITE_WITH_IMM,
  notice: abi.IBV_WR_SEND_WITH_IMM,
  read: abi.IBV_WR_RDMA_READ,
} as const

const high = 2 ** 32
const requestBytes = abi["sizeof.ibv_send_wr"]
const requestWords = requestBytes / 4
const placeBytes = abi["sizeof.ibv_sge"]
const placeWords = placeBytes / 4
const at = {
  id: abi["ibv_send_wr.wr_id"] / 4,
  next: abi["ibv_send_wr.next"] / 4,
  places: abi["ibv_send_wr.sg_list"] / 4,
  placeCount: abi["ibv_send_wr.num_sge"] / 4,
  opcode: abi["ibv_send_wr.opcode"] / 4,
  flags: abi["ibv_send_wr.send_flags"] / 4,
  immediate: abi["ibv_send_wr.imm_data"] / 4,
  remote: abi["ibv_send_wr.wr.rdma.remote_addr"] / 4,
  rkey: abi["ibv_send_wr.wr.rdma.rkey"] / 4,
} as const
const placeAt = {
  address: abi["ibv_sge.addr"] / 4,
  length: abi["ibv_sge.length"] / 4,
  lkey: abi["ibv_sge.lkey"] / 4,
} as const

/**
 * A chain of work requests for one doorbell, composed in native memory that is used again for each chain.
 *
 * The provider copies a chain when it is posted, so the memory is free when the call returns. The links between the
 * requests are written once: `close(n)` cuts the chain behind request n and `open(n)` mends it.
 */
export class WorkRequests {
  readonly capacity: number
  /** Address of the first request of the chain. */
  readonly address: number
  readonly #requests: Uint32Array
  readonly #places: Uint32Array

  /** Control memory that a chain of `capacity` requests takes. */
  static controlBytes(capacity: number): number {
    return Math.ceil((capacity * (requestBytes + placeBytes)) / 64) * 64 + 128
  }

  constructor(memory: ControlMemory, capacity: number) {
    const requests: ControlBlock = memory.take(capacity * requestBytes)
    const places: ControlBlock = memory.take(capacity * placeBytes)
    this.capacity = capacity
    this.address = requests.address
    this.#requests = requests.u32
    this.#places = places.u32
    for (let i = 0; i < capacity; i++) {
      this.#link(i, i + 1 < capacity ? requests.address + (i + 1) * requestBytes : 0)
      const place = places.address + i * placeBytes
      this.#requests[i * requestWords + at.places] = place % high
      this.#requests[i * requestWords + at.places + 1] = Math.floor(place / high)
    }
  }

  /** Sets request `i`: one run of local memory, one remote address. `idLow` and `idHigh` come back in its completion. */
  set(
    i: number,
    code: number,
    signaled: boolean,
    idLow: number,
    idHigh: number,
    localAddress: number,
    length: number,
    lkey: number,
    remoteAddress: number,
    rkey: number,
  ): void {
    const words = this.#requests
    const w = i * requestWords
    words[w + at.id] = idLow
    words[w + at.id + 1] = idHigh
    words[w + at.placeCount] = 1
    words[w + at.opcode] = code
    words[w + at.flags] = signaled ? abi.IBV_SEND_SIGNALED : 0
    words[w + at.remote] = remoteAddress % high
    words[w + at.remote + 1] = Math.floor(remoteAddress / high)
    words[w + at.rkey] = rkey
    const places = this.#places
    const p = i * placeWords
    places[p + placeAt.address] = localAddress % high
    places[p + placeAt.address + 1] = Math.floor(localAddress / high)
    places[p + placeAt.length] = length
    places[p + placeAt.lkey] = lkey
  }

  /** Makes request `i` a message without payload, signalled. */
  setNotice(i: number, idLow: number, idHigh: number, immediate: number): void {
    const words = this.#requests
    const w = i * requestWords
    words[w + at.id] = idLow
    words[w + at.id + 1] = idHigh
    words[w + at.placeCount] = 0
    words[w + at.opcode] = opcode.notice
    words[w + at.flags] = abi.IBV_SEND_SIGNALED
    words[w + at.immediate] = swapped(immediate)
  }

  /** Makes request `i`, which is set, one that carries an immediate: 32 bits that arrive with it. */
  setImmediate(i: number, code: number, immediate: number): void {
    this.#requests[i * requestWords + at.opcode] = code
    this.#requests[i * requestWords + at.immediate] = swapped(immediate)
  }

  /** Ends the chain with request `count - 1`. */
  close(count: number): void {
    this.#link(count - 1, 0)
  }

  /** Takes `close(count)` back. */
  open(count: number): void {
    if (count < this.capacity) this.#link(count - 1, this.address + count * requestBytes)
  }

  /** The place of a request that the library named as the first one it did not take. */
  placeOf(address: number): number {
    return (address - this.address) / requestBytes
  }

  #link(i: number, next: number): void {
    this.#requests[i * requestWords + at.next] = next % high
    this.#requests[i * requestWords + at.next + 1] = Math.floor(next / high)
  }
}

/** An immediate travels in network byte order. */
export function swapped(word: number): number {
  return ((word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24)) >>> 0
}
