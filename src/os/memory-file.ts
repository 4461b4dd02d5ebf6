import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { osError } from "./os-error.ts"

/**
 * Makes a memory file of `byteLength` zeroed bytes that can be sealed, and returns its descriptor.
 *
 * It can never be made executable, where the kernel knows that wish (Linux 6.3).
 * @throws KvError KV_OS.
 */
export function openMemoryFile(byteLength: number, name: string, extraFlags = 0): number {
  const flags = abi.MFD_CLOEXEC | abi.MFD_ALLOW_SEALING | extraFlags
  let fd = libc.memfd_create(`kvferry-${name}`, flags | abi.MFD_NOEXEC_SEAL)
  if (fd < 0 && errno() === abi.EINVAL) fd = libc.memfd_create(`kvferry-${name}`, flags)
  if (fd < 0) throw osError("memfd_create", errno(), { what: `no memory file for ${name} could be made` })
  if (libc.ftruncate(fd, byteLength) === 0) return fd
  const code = errno()
  libc.close(fd)
  throw refusedMemory("ftruncate", code, byteLength, name)
}

/** What the machine says when it has no room for a mapping. */
export function refusedMemory(call: string, code: number, byteLength: number, name: string): Error {
  return osError(call, code, {
    what: `${byteLength} bytes of host memory for ${name} were refused`,
    next: "use fewer blocks, or raise the memory limit of this process",
  })
}
