import { fstatSync } from "node:fs"
import { KvError } from "../errors/kv-error.ts"
import { checkAbi } from "./ffi/check-abi.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { hugePageBytes } from "./huge-pages.ts"
import { Span } from "./memory-span.ts"
import { osError } from "./os-error.ts"
import { endMapping } from "./placeholder.ts"
import { populatePages } from "./populate.ts"
import { sealsOf } from "./seals.ts"

/** How another process's memory is mapped here. */
export interface ForeignAccess {
  readonly access: "read" | "write"
  /** Whose it is and what for: words for an error. */
  readonly name: string
}

/**
 * Maps the first `byteLength` bytes of a memory file of another process. The descriptor stays the caller's.
 *
 * The file is checked first, so that its owner cannot hurt us later: its size must be sealed (a file that is cut
 * under a mapping kills whoever looks at it), it must be long enough, and its pages must be there (a reader of holes
 * pays for them with its own memory).
 * @throws KvError KV_PEER_REFUSED for a file that is not safe to map; KV_OS.
 */
export function mapForeign(fd: number, byteLength: number, { access, name }: ForeignAccess): ForeignMapping {
  checkAbi()
  checkForeignFile(fd, byteLength, access, name)
  const protection = access === "write" ? abi.PROT_READ | abi.PROT_WRITE : abi.PROT_READ
  const address = libc.mmap(0, byteLength, protection, abi.MAP_SHARED, fd, 0)
  if (address === -1) {
    throw osError("mmap", errno(), {
      what: `${byteLength} bytes of ${name} could not be mapped to ${access} them`,
    })
  }
  if (byteLength >= hugePageBytes) libc.madvise(address, byteLength, abi.MADV_HUGEPAGE)
  return new ForeignMapping(address, byteLength, access)
}

/** Memory of another process. Where `access` is `read`, a write to one of its views ends this process (SIGSEGV). */
export class ForeignMapping extends Span implements Disposable {
  readonly access: "read" | "write"
  readonly #base: number
  #open = true

  constructor(address: number, byteLength: number, access: "read" | "write") {
    super(address, byteLength)
    this.#base = address
    this.access = access
  }

  /** Takes the page faults of a range. The pages are there already; it only maps them. @throws KvError KV_OS. */
  populate(offset: number, length: number): void {
    const address = this.addressOf(offset, length)
    if (length > 0) populatePages(address, length, this.access, 0)
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.retire()
    endMapping(this.#base, this.byteLength, this.viewed)
  }
}

/** @throws KvError KV_PEER_REFUSED saying what is wrong with the file. */
export function checkForeignFile(
  fd: number,
  byteLength: number,
  access: "read" | "write",
  name: string,
): void {
  const refuse = (why: string): KvError =>
    new KvError("KV_PEER_REFUSED", {
      what: `the memory file of ${name} is not safe to map`,
      why,
      next: "both sides must run kvferry; if they do, report this",
    })
  const seals = sealsOf(fd)
  if (seals === undefined) throw refuse("it is no memory file: it has no seals")
  if (!seals.size) throw refuse("its size is not sealed: its owner could cut it under our mapping")
  const { size, blocks, blksize } = fstatSync(fd)
  if (size < byteLength)
    throw refuse(`it has ${size} bytes, fewer than the ${byteLength} that were announced`)
  if (blocks * 512 < byteLength) {
    throw refuse(
      `only ${blocks * 512} of its ${byteLength} bytes are there: looking at the rest would take our memory`,
    )
  }
  // A hole in reserved huge pages is a SIGBUS for whoever looks, and only the seal forbids making one.
  if (blksize >= hugePageBytes && !seals.futureWrites) {
    throw refuse(
      `it has reserved huge pages that its owner may take back${access === "write" ? "" : " at any time"}`,
    )
  }
}
