import type { MemorySpan } from "../memory/host-memory.ts"
import { checkAbi } from "./ffi/check-abi.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { Span } from "./memory-span.ts"
import { osError } from "./os-error.ts"
import { endMapping } from "./placeholder.ts"

const hugePageBytes = 2 ** 21

/**
 * Maps zeroed memory of this process alone, as an application takes it: no other process can map it, so only the kernel
 * can reach into it from outside (`process_vm_readv(2)`). Its page faults are taken before this returns.
 *
 * `hugePages` asks for 2 MiB pages; the kernel decides, and `/proc/self/smaps` says what it gave.
 * @throws KvError KV_OS.
 */
export function mapAnonymous(
  byteLength: number,
  name: string,
  { hugePages }: { readonly hugePages: boolean },
): MemorySpan & Disposable {
  checkAbi()
  // A huge page starts at a multiple of its size, and where a mapping lands is the kernel's choice.
  const mapped = byteLength + (hugePages ? hugePageBytes : 0)
  const flags = abi.MAP_PRIVATE | abi.MAP_ANONYMOUS
  const at = libc.mmap(0, mapped, abi.PROT_READ | abi.PROT_WRITE, flags, -1, 0)
  if (at === -1) {
    throw osError("mmap", errno(), {
      what: `${byteLength} bytes of memory for ${name} were refused`,
      next: "use fewer blocks, or raise the memory limit of this process",
    })
  }
  if (hugePages) libc.madvise(at, mapped, abi.MADV_HUGEPAGE)
  const start = hugePages ? Math.ceil(at / hugePageBytes) * hugePageBytes : at
  // An older kernel does not know the advice, and takes the faults when a page is first touched.
  libc.madvise(start, byteLength, abi.MADV_POPULATE_WRITE)
  return new Anonymous(start, byteLength, { at, byteLength: mapped })
}

class Anonymous extends Span implements Disposable {
  readonly #mapped: { readonly at: number; readonly byteLength: number }
  #open = true

  constructor(
    address: number,
    byteLength: number,
    mapped: { readonly at: number; readonly byteLength: number },
  ) {
    super(address, byteLength)
    this.#mapped = mapped
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.retire()
    const { at, byteLength } = this.#mapped
    endMapping(at, byteLength, this.viewed)
  }
}
