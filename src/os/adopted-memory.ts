import koffi from "koffi"
import { KvError } from "../errors/kv-error.ts"
import type { MemorySpan } from "../memory/host-memory.ts"
import { Span } from "./memory-span.ts"

/**
 * Memory that the caller allocated, as a span: it stays the caller's, and alive for as long as the span is.
 *
 * Only shared memory of JavaScript (`SharedArrayBuffer`): it never moves, and nobody can transfer it away under us.
 * Other processes cannot map it, so `shm` does not carry it; `cma` and `tcp` do.
 * @throws KvError KV_USAGE for memory of another kind.
 */
export function adoptBytes(bytes: Uint8Array): MemorySpan {
  if (!(bytes.buffer instanceof SharedArrayBuffer) || bytes.byteLength === 0) {
    throw new KvError("KV_USAGE", {
      what: `${bytes.byteLength} bytes that are no SharedArrayBuffer's were given as a region`,
      why: "other memory of JavaScript can be transferred away while a peer reads it",
      next: "allocate the region with new SharedArrayBuffer(bytes)",
    })
  }
  return new AdoptedSpan(bytes as Uint8Array<SharedArrayBuffer>)
}

class AdoptedSpan extends Span {
  readonly #bytes: Uint8Array<SharedArrayBuffer>

  constructor(bytes: Uint8Array<SharedArrayBuffer>) {
    super(Number(koffi.address(bytes)), bytes.byteLength)
    this.#bytes = bytes
  }

  /** The caller's own array: a second buffer over its memory is not needed here. */
  override view(offset: number, length: number): Uint8Array<ArrayBuffer> {
    this.addressOf(offset, length)
    return this.#bytes.subarray(offset, offset + length) as unknown as Uint8Array<ArrayBuffer>
  }
}
