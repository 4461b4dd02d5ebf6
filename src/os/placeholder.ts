import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"

/**
 * Puts empty pages of nobody's in the place of a mapping: the memory goes back to the machine, the addresses stay.
 *
 * A view cannot be taken back, and touching unmapped pages is a crash. So a late reader sees zeros.
 */
export function putPlaceholder(address: number, byteLength: number): void {
  const flags = abi.MAP_PRIVATE | abi.MAP_ANONYMOUS | abi.MAP_FIXED | abi.MAP_NORESERVE
  libc.mmap(address, byteLength, abi.PROT_READ | abi.PROT_WRITE, flags, -1, 0)
}

/** Ends a mapping: unmapped when nobody can hold a view of it, else a placeholder. */
export function endMapping(address: number, byteLength: number, viewed: boolean): void {
  if (viewed) putPlaceholder(address, byteLength)
  else libc.munmap(address, byteLength)
}
