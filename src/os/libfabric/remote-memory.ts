import type { ControlBlock, ControlMemory } from "../control-memory.ts"
import { libfabricOperations as calls } from "../ffi/libfabric.ts"
import { libfabricAbi as abi } from "../ffi/libfabric-abi.ts"
import type { EndpointHandle } from "./endpoint.ts"
import { operation } from "./fields.ts"

/** Reads and writes of a peer's memory over one endpoint, by the one thread that works with it. */
export class RemoteMemory {
  readonly #endpoint: number
  readonly #message: ControlBlock
  readonly #vector: ControlBlock
  readonly #read
  readonly #write
  readonly #writeMessage

  constructor({ endpoint }: EndpointHandle, memory: ControlMemory) {
    this.#endpoint = endpoint
    this.#message = memory.take(abi["sizeof.fi_msg_rma"])
    // struct iovec, struct fi_rma_iov and one descriptor, each in its own cache line.
    this.#vector = memory.take(192)
    const rma = abi["fid_ep.rma"]
    this.#read = operation(endpoint, rma, abi["fi_ops_rma.read"], "fi_read", calls.fi_rma)
    this.#write = operation(endpoint, rma, abi["fi_ops_rma.write"], "fi_write", calls.fi_rma)
    const message = abi["fi_ops_rma.writemsg"]
    this.#writeMessage = operation(endpoint, rma, message, "fi_writemsg", calls.fi_writemsg)
    this.#layOut()
  }

  /**
   * Asks for `length` bytes of the peer. Returns 0, or a negated error number; `-FI_EAGAIN`: later.
   *
   * @param descriptor of our own region; @param peer as `FabricEndpoint.insert` named it.
   * @param context comes back with the completion; libfabric writes into the 64 bytes there until then.
   */
  read(
    address: number,
    length: number,
    descriptor: number,
    peer: number,
    remoteAddress: number,
    key: number,
    context: number,
  ): number {
    return this.#read(this.#endpoint, address, length, descriptor, peer, remoteAddress, key, context)
  }

  /** Like `read`, the other way. Its completion says that our memory is free again, and nothing of the peer's. */
  write(
    address: number,
    length: number,
    descriptor: number,
    peer: number,
    remoteAddress: number,
    key: number,
    context: number,
  ): number {
    return this.#write(this.#endpoint, address, length, descriptor, peer, remoteAddress, key, context)
  }

  /** Like `write`, and its completion says that the bytes are visible in the peer's memory (`FI_DELIVERY_COMPLETE`). */
  writeVisibly(
    address: number,
    length: number,
    descriptor: number,
    peer: number,
    remoteAddress: number,
    key: number,
    context: number,
  ): number {
    const vector = this.#vector.u32
    setNumber(vector, 0, address)
    setNumber(vector, 2, length)
    setNumber(vector, 16 + abi["fi_rma_iov.addr"] / 4, remoteAddress)
    setNumber(vector, 16 + abi["fi_rma_iov.len"] / 4, length)
    setNumber(vector, 16 + abi["fi_rma_iov.key"] / 4, key)
    setNumber(vector, 32, descriptor)
    setNumber(this.#message.u32, abi["fi_msg_rma.addr"] / 4, peer)
    setNumber(this.#message.u32, abi["fi_msg_rma.context"] / 4, context)
    return this.#writeMessage(this.#endpoint, this.#message.address, abi.FI_DELIVERY_COMPLETE)
  }

  /** What stays the same for each message. */
  #layOut(): void {
    const message = this.#message.u32
    setNumber(message, abi["fi_msg_rma.msg_iov"] / 4, this.#vector.address)
    setNumber(message, abi["fi_msg_rma.desc"] / 4, this.#vector.address + 128)
    setNumber(message, abi["fi_msg_rma.iov_count"] / 4, 1)
    setNumber(message, abi["fi_msg_rma.rma_iov"] / 4, this.#vector.address + 64)
    setNumber(message, abi["fi_msg_rma.rma_iov_count"] / 4, 1)
  }
}

function setNumber(words: Uint32Array, at: number, value: number): void {
  words[at] = value
  words[at + 1] = value / 2 ** 32
}
