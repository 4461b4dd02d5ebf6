import type { HostMapping, HostMemory } from "../memory/host-memory.ts"
import { checkAbi } from "./ffi/check-abi.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { Span } from "./memory-span.ts"
import { osError } from "./os-error.ts"

const hugePageBytes = 2 ** 21

/** Host memory as memfds: pages that another process can map too, given back when their owner closes them. */
export const hostMemory: HostMemory = { map: mapMemfd }

function mapMemfd(byteLength: number, name: string): HostMapping {
  checkAbi()
  if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
    throw osError("mmap", abi.ENOMEM, { what: `a mapping of ${byteLength} bytes was asked for` })
  }
  const fd = libc.memfd_create(`kvferry-${name}`, abi.MFD_CLOEXEC | abi.MFD_ALLOW_SEALING)
  if (fd < 0) throw osError("memfd_create", errno(), { what: `no memory file for ${name} could be made` })
  try {
    if (libc.ftruncate(fd, byteLength) !== 0) throw refused("ftruncate", byteLength, name)
    const address = libc.mmap(0, byteLength, abi.PROT_READ | abi.PROT_WRITE, abi.MAP_SHARED, fd, 0)
    if (address === -1) throw refused("mmap", byteLength, name)
    // Advice only: where the machine grants no huge pages to shared memory, nothing changes.
    if (byteLength >= hugePageBytes) libc.madvise(address, byteLength, abi.MADV_HUGEPAGE)
    return new Memfd(fd, address, byteLength)
  } catch (thrown) {
    libc.close(fd)
    throw thrown
  }
}

class Memfd extends Span implements HostMapping {
  readonly fd: number
  readonly #base: number
  #open = true

  constructor(fd: number, address: number, byteLength: number) {
    super(address, byteLength)
    this.fd = fd
    this.#base = address
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.retire()
    libc.close(this.fd)
    if (!this.viewed) {
      libc.munmap(this.#base, this.byteLength)
      return
    }
    // A view cannot be taken back, and touching unmapped pages is a crash. Put empty pages in place of ours:
    // the memory goes back to the machine, and a late reader sees zeros.
    const flags = abi.MAP_PRIVATE | abi.MAP_ANONYMOUS | abi.MAP_FIXED | abi.MAP_NORESERVE
    libc.mmap(this.#base, this.byteLength, abi.PROT_READ | abi.PROT_WRITE, flags, -1, 0)
  }
}

function refused(call: string, byteLength: number, name: string): Error {
  return osError(call, errno(), {
    what: `${byteLength} bytes of host memory for ${name} were refused`,
    next: "use fewer blocks, or raise the memory limit of this process",
  })
}
