import koffi from "koffi"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { freeMemory } from "./free-memory.ts"
import { osError } from "./os-error.ts"

/** Smaller than every page there is, or equal. */
const pageBytes = 4096
/** Longest view for touching pages by hand. */
const touchBytes = 2 ** 30

/**
 * Takes the page faults of a mapping without changing a byte; the caller has checked the range.
 *
 * @param access `write` maps pages for writing, `read` for reading only.
 * @param missingBytes how much of it needs memory that is not there yet: refused when there is not so much.
 * @throws KvError KV_OS.
 */
export function populatePages(
  address: number,
  byteLength: number,
  access: "read" | "write",
  missingBytes: number,
): void {
  const free = freeMemory()
  if (missingBytes > free.bytes) {
    throw osError("the check before it", abi.ENOMEM, {
      what: `${missingBytes} bytes of memory are needed, and ${free.limit} leaves ${free.bytes}`,
      next: "use fewer blocks, or give the process more memory",
    })
  }
  const advice = access === "write" ? abi.MADV_POPULATE_WRITE : abi.MADV_POPULATE_READ
  const start = Math.floor(address / pageBytes) * pageBytes
  for (;;) {
    if (libc.madvise(start, address + byteLength - start, advice) === 0) return
    const code = errno()
    if (code === abi.EINTR || code === abi.EAGAIN) continue
    // Before Linux 5.14 the kernel does not know the advice.
    if (code === abi.EINVAL) return touchPages(address, byteLength, access)
    throw osError("madvise", code, {
      what: `the pages of ${byteLength} bytes of memory could not all be had`,
      next: "use fewer blocks, or give the process more memory",
    })
  }
}

/** One access per page, by hand. A write is an atomic `or` with 0: whoever writes there meanwhile loses nothing. */
export function touchPages(address: number, byteLength: number, access: "read" | "write"): void {
  for (let start = 0; start < byteLength; start += touchBytes) {
    const length = Math.min(touchBytes, byteLength - start)
    const bytes = new Uint8Array(koffi.view(address + start, length))
    for (let at = 0; at < length; at += pageBytes) {
      if (access === "write") Atomics.or(bytes, at, 0)
      else Atomics.load(bytes, at)
    }
    Atomics.load(bytes, length - 1)
  }
}
