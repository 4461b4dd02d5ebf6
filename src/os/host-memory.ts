import { fstatSync } from "node:fs"
import type { HostMapping, HostMemory, MappingOptions, PageGrant } from "../memory/host-memory.ts"
import { checkAbi } from "./ffi/check-abi.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { freeReservedBytes, hugePageBytes, pageGrant } from "./huge-pages.ts"
import { openMemoryFile, refusedMemory } from "./memory-file.ts"
import { Span } from "./memory-span.ts"
import { placeOnNode } from "./numa.ts"
import { osError } from "./os-error.ts"
import { endMapping } from "./placeholder.ts"
import { populatePages } from "./populate.ts"

/** A mapping is lengthened to whole huge pages when that costs at most an eighth of it: so its end has one too. */
const wasteMax = 1 / 8

/** Host memory as memfds: pages that another process can map too, given back when their owner closes them. */
export const hostMemory: HostMemory = { map: mapMemfd }

function mapMemfd(byteLength: number, name: string, options: MappingOptions = {}): HostMapping {
  checkAbi()
  if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
    throw osError("mmap", abi.ENOMEM, { what: `a mapping of ${byteLength} bytes was asked for` })
  }
  const pages = options.pages ?? "transparent"
  const placed =
    (pages === "reserved" ? mapReserved(byteLength, name) : undefined) ?? mapFile(byteLength, name, pages)
  const mapping = new Memfd(placed, byteLength, pages)
  try {
    mapping.placement = placeOnNode(placed.address, placed.mappedBytes, options.node)
    if (options.populate === true) mapping.populate(0, byteLength)
    return mapping
  } catch (thrown) {
    mapping[Symbol.dispose]()
    throw thrown
  }
}

interface Placed {
  readonly fd: number
  readonly address: number
  readonly mappedBytes: number
  readonly reserved: boolean
}

/** Out of the machine's reserved huge pages; undefined when it has not enough of them. */
function mapReserved(byteLength: number, name: string): Placed | undefined {
  const mappedBytes = wholeHugePages(byteLength)
  if (freeReservedBytes() < mappedBytes) return undefined
  try {
    const fd = openMemoryFile(mappedBytes, name, abi.MFD_HUGETLB | abi.MFD_HUGE_2MB)
    return { fd, address: mapOrClose(fd, mappedBytes, name), mappedBytes, reserved: true }
  } catch {
    // Somebody else was quicker, or may have none: the ordinary pages are there.
    return undefined
  }
}

function mapFile(byteLength: number, name: string, pages: PageGrant["kind"]): Placed {
  const whole = wholeHugePages(byteLength)
  const lengthen = pages !== "small" && whole - byteLength <= byteLength * wasteMax
  const mappedBytes = lengthen ? whole : byteLength
  const fd = openMemoryFile(mappedBytes, name)
  const address = mapOrClose(fd, mappedBytes, name)
  // Advice only: where the machine grants no huge pages to shared memory, nothing changes.
  if (pages !== "small" && mappedBytes >= hugePageBytes) libc.madvise(address, mappedBytes, abi.MADV_HUGEPAGE)
  return { fd, address, mappedBytes, reserved: false }
}

function mapOrClose(fd: number, mappedBytes: number, name: string): number {
  const address = libc.mmap(0, mappedBytes, abi.PROT_READ | abi.PROT_WRITE, abi.MAP_SHARED, fd, 0)
  if (address !== -1) return address
  const code = errno()
  libc.close(fd)
  throw refusedMemory("mmap", code, mappedBytes, name)
}

const wholeHugePages = (byteLength: number): number => Math.ceil(byteLength / hugePageBytes) * hugePageBytes

class Memfd extends Span implements HostMapping {
  readonly fd: number
  placement = ""
  readonly #placed: Placed
  readonly #asked: PageGrant["kind"]
  #open = true

  constructor(placed: Placed, byteLength: number, asked: PageGrant["kind"]) {
    super(placed.address, byteLength)
    this.fd = placed.fd
    this.#placed = placed
    this.#asked = asked
  }

  get reserved(): boolean {
    return this.#placed.reserved
  }

  get pages(): PageGrant {
    return pageGrant(this.addressOf(0, 0), this.#asked, this.reserved)
  }

  populate(offset: number, length: number): void {
    const address = this.addressOf(offset, length)
    if (length === 0) return
    // To the very end, where that is: whoever maps the file wants every page of it to be there.
    const end = offset + length === this.byteLength ? this.#placed.mappedBytes : offset + length
    const present = fstatSync(this.fd).blocks * 512
    const missing = this.#placed.reserved ? 0 : Math.min(end - offset, this.#placed.mappedBytes - present)
    populatePages(address, end - offset, "write", Math.max(0, missing))
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.retire()
    libc.close(this.fd)
    endMapping(this.#placed.address, this.#placed.mappedBytes, this.viewed)
  }
}
