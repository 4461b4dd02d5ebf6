import type { ControlBlock, ControlMemory } from "../control-memory.ts"
import { libfabricOperations as calls } from "../ffi/libfabric.ts"
import { libfabricAbi as abi } from "../ffi/libfabric-abi.ts"
import type { EndpointHandle } from "./endpoint.ts"
import { operation } from "./fields.ts"
import { fabricErrorText, type Libfabric } from "./library.ts"

/** Completions that one look takes at most. */
const batch = 64

/** What an entry of the error queue says. */
export interface FabricFailure {
  /** The context of the request; 0 where the provider does not say which it was. */
  readonly context: number
  /** libfabric's error number, above 0. */
  readonly error: number
  readonly providerError: number
  /** The error in libfabric's words. */
  readonly words: string
}

/** A completion queue through the eyes of the one thread that reads it. */
export class CompletionQueue {
  readonly #handle: Pick<EndpointHandle, "queue" | "fabric">
  readonly #library: Libfabric
  readonly #entries: ControlBlock
  readonly #error: ControlBlock
  readonly #fids: ControlBlock
  readonly #read
  readonly #readError
  readonly #tryWait

  constructor(library: Libfabric, handle: Pick<EndpointHandle, "queue" | "fabric">, memory: ControlMemory) {
    this.#library = library
    this.#handle = handle
    this.#entries = memory.take(batch * abi["sizeof.fi_cq_entry"])
    // Longer than the structure is today: later versions append to it.
    this.#error = memory.take(256)
    this.#fids = memory.take(8)
    const { queue, fabric } = handle
    this.#read = operation(queue, abi["fid_cq.ops"], abi["fi_ops_cq.read"], "fi_cq_read", calls.fi_cq_read)
    const readError = abi["fi_ops_cq.readerr"]
    this.#readError = operation(queue, abi["fid_cq.ops"], readError, "fi_cq_readerr", calls.fi_cq_readerr)
    const wait = abi["fi_ops_fabric.trywait"]
    this.#tryWait = operation(fabric, abi["fid_fabric.ops"], wait, "fi_trywait", calls.fi_trywait)
    this.#fids.data.setBigUint64(0, BigInt(queue), true)
  }

  /** Contexts of completed requests, as 32-bit words: low at 2 i, high at 2 i + 1. */
  get contexts(): Uint32Array {
    return this.#entries.u32
  }

  /** How many requests have completed; their contexts are in `contexts`. -1: the next entry is a failure. */
  read(): number {
    const count = this.#read(this.#handle.queue, this.#entries.address, batch)
    if (count >= 0) return count
    return count === -abi.FI_EAGAIN ? 0 : -1
  }

  /** The failure that `read` announced; undefined when there is none after all. */
  takeFailure(): FabricFailure | undefined {
    const { queue } = this.#handle
    this.#error.u8.fill(0)
    const { address, data } = this.#error
    if (this.#readError(queue, address, 0) !== 1) return undefined
    const error = data.getInt32(abi["fi_cq_err_entry.err"], true)
    const providerError = data.getInt32(abi["fi_cq_err_entry.prov_errno"], true)
    return {
      context: Number(data.getBigUint64(abi["fi_cq_err_entry.op_context"], true)),
      error,
      providerError,
      // The provider's own words (fi_cq_strerror) are not asked for: ofi_rxm of 1.17 takes them from the queue's first
      // endpoint, and crashes when that was closed meanwhile.
      words: fabricErrorText(this.#library, error),
    }
  }

  /** True when its descriptor may be waited on; false when there is something to read already. */
  mayWait(): boolean {
    return this.#tryWait(this.#handle.fabric, this.#fids.address, 1) === 0
  }
}
