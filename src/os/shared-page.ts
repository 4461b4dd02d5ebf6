import koffi from "koffi"
import { checkAbi } from "./ffi/check-abi.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { checkForeignFile } from "./foreign-memory.ts"
import { openMemoryFile } from "./memory-file.ts"
import { osError } from "./os-error.ts"
import { putPlaceholder } from "./placeholder.ts"
import { populatePages } from "./populate.ts"
import { seal } from "./seals.ts"

/** Words of 32 bits on one shared page: 32 KiB. */
export const sharedPageWords = 8192
const pageBytes = sharedPageWords * 4
/** Pages that one mapping of the process has places for. */
const placesPerRange = 64

/** Where a shared page is mapped. Places are used again: a view cannot be taken back, so each is made only once. */
interface Place {
  readonly address: number
  readonly words: Uint32Array<ArrayBuffer>
}

const freePlaces: Place[] = []

/** Words that one process writes and another one reads, with no call between them. */
export class SharedPage implements Disposable {
  readonly words: Uint32Array<ArrayBuffer>
  readonly #place: Place
  #fd: number | undefined

  private constructor(place: Place, fd: number | undefined) {
    this.words = place.words
    this.#place = place
    this.#fd = fd
  }

  /** Makes a page of zeros that this process alone can write. @throws KvError KV_OS. */
  static create(name: string): SharedPage {
    const fd = openMemoryFile(pageBytes, name)
    try {
      const page = SharedPage.#map(fd, "write")
      seal(fd, { size: true, futureWrites: true })
      return new SharedPage(page, fd)
    } catch (thrown) {
      libc.close(fd)
      throw thrown
    }
  }

  /**
   * Maps another process's page for reading; the descriptor stays the caller's. What its words say is a claim of that
   * process, and may change at any time.
   * @throws KvError KV_PEER_REFUSED for a file that is no such page; KV_OS.
   */
  static adopt(fd: number, name: string): SharedPage {
    checkForeignFile(fd, pageBytes, "read", name)
    return new SharedPage(SharedPage.#map(fd, "read"), undefined)
  }

  /** The file to hand over; only of a page that was created here. */
  get fd(): number | undefined {
    return this.#fd
  }

  /** Gives the page back. Its words then belong to nobody: they must not be looked at any more. */
  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#fd !== undefined) libc.close(this.#fd)
    this.#fd = undefined
    putPlaceholder(this.#place.address, pageBytes)
    freePlaces.push(this.#place)
  }

  #closed = false

  static #map(fd: number, access: "read" | "write"): Place {
    const place = takePlace()
    const protection = access === "write" ? abi.PROT_READ | abi.PROT_WRITE : abi.PROT_READ
    const flags = abi.MAP_SHARED | abi.MAP_FIXED
    if (libc.mmap(place.address, pageBytes, protection, flags, fd, 0) === -1) {
      const code = errno()
      freePlaces.push(place)
      throw osError("mmap", code, { what: "a page to share with another process could not be mapped" })
    }
    try {
      populatePages(place.address, pageBytes, access, 0)
    } catch (thrown) {
      putPlaceholder(place.address, pageBytes)
      freePlaces.push(place)
      throw thrown
    }
    return place
  }
}

function takePlace(): Place {
  const free = freePlaces.pop()
  if (free !== undefined) return free
  checkAbi()
  const byteLength = placesPerRange * pageBytes
  const flags = abi.MAP_PRIVATE | abi.MAP_ANONYMOUS | abi.MAP_NORESERVE
  const start = libc.mmap(0, byteLength, abi.PROT_READ | abi.PROT_WRITE, flags, -1, 0)
  if (start === -1)
    throw osError("mmap", errno(), { what: `${byteLength} bytes of address space were refused` })
  const buffer = koffi.view(start, byteLength)
  for (let at = byteLength - pageBytes; at >= 0; at -= pageBytes) {
    freePlaces.push({ address: start + at, words: new Uint32Array(buffer, at, sharedPageWords) })
  }
  return freePlaces.pop()!
}
