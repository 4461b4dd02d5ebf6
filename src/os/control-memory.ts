import koffi from "koffi"
import { assert } from "../errors/assert.ts"
import { checkAbi } from "./ffi/check-abi.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { osError } from "./os-error.ts"

/** A piece of control memory: the same bytes as an address for native calls and as arrays for us. */
export interface ControlBlock {
  readonly address: number
  readonly byteLength: number
  readonly u8: Uint8Array<ArrayBuffer>
  readonly u32: Uint32Array<ArrayBuffer>
  readonly data: DataView<ArrayBuffer>
}

/**
 * The one arena of native-visible control memory (message headers, iovecs, poll tables) of a thread.
 *
 * Zeroed, because the kernel reads every field of a header; owned, because the address of a JavaScript buffer
 * keeps nothing alive. Blocks are never given back singly: they go with the arena.
 */
export class ControlMemory implements Disposable {
  readonly byteLength: number
  readonly #address: number
  readonly #buffer: ArrayBuffer
  #used = 0

  constructor(byteLength: number) {
    checkAbi()
    this.byteLength = byteLength
    const flags = abi.MAP_PRIVATE | abi.MAP_ANONYMOUS
    this.#address = libc.mmap(0, byteLength, abi.PROT_READ | abi.PROT_WRITE, flags, -1, 0)
    if (this.#address === -1) {
      throw osError("mmap", errno(), { what: `${byteLength} bytes of control memory were refused` })
    }
    this.#buffer = koffi.view(this.#address, byteLength)
  }

  /** Takes `byteLength` zeroed bytes, aligned to 64. */
  take(byteLength: number): ControlBlock {
    const start = this.#used
    const length = Math.ceil(byteLength / 64) * 64
    assert(start + length <= this.byteLength, "the control arena is sized for all its blocks")
    this.#used = start + length
    return {
      address: this.#address + start,
      byteLength,
      u8: new Uint8Array(this.#buffer, start, byteLength),
      u32: new Uint32Array(this.#buffer, start, Math.floor(byteLength / 4)),
      data: new DataView(this.#buffer, start, byteLength),
    }
  }

  /** Gives the pages back. Views stay readable as zeros, as with host memory. */
  [Symbol.dispose](): void {
    const flags = abi.MAP_PRIVATE | abi.MAP_ANONYMOUS | abi.MAP_FIXED | abi.MAP_NORESERVE
    libc.mmap(this.#address, this.byteLength, abi.PROT_READ | abi.PROT_WRITE, flags, -1, 0)
  }
}
