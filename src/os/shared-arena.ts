import koffi from "koffi"
import type { SharedSpan } from "../memory/host-memory.ts"
import { checkAbi } from "./ffi/check-abi.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { osError } from "./os-error.ts"

/** Native memory as one thread sees it: its address for native calls, and the same bytes as numbers. */
export interface ArenaViews {
  readonly address: number
  readonly u32: Uint32Array<ArrayBuffer>
  readonly f64: Float64Array<ArrayBuffer>
  readonly u64: BigUint64Array<ArrayBuffer>
}

/**
 * Maps zeroed native memory that all threads of the process share; a page costs nothing before it is touched.
 * @throws KvError KV_OS.
 */
export function mapArena(byteLength: number): SharedSpan {
  checkAbi()
  const flags = abi.MAP_PRIVATE | abi.MAP_ANONYMOUS | abi.MAP_NORESERVE
  const address = libc.mmap(0, byteLength, abi.PROT_READ | abi.PROT_WRITE, flags, -1, 0)
  if (address === -1) throw osError("mmap", errno(), { what: `${byteLength} bytes for jobs were refused` })
  return { address, byteLength }
}

/** An arena through the eyes of the calling thread. The views are made once: each costs microseconds. */
export function viewArena({ address, byteLength }: SharedSpan): ArenaViews {
  const buffer = koffi.view(address, byteLength)
  return {
    address,
    u32: new Uint32Array(buffer),
    f64: new Float64Array(buffer),
    u64: new BigUint64Array(buffer),
  }
}

/** Gives the pages back. The addresses stay taken, and views show zeros: a late reader does not crash. */
export function closeArena({ address, byteLength }: SharedSpan): void {
  const flags = abi.MAP_PRIVATE | abi.MAP_ANONYMOUS | abi.MAP_FIXED | abi.MAP_NORESERVE
  libc.mmap(address, byteLength, abi.PROT_READ | abi.PROT_WRITE, flags, -1, 0)
}
