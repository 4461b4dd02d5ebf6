import { closeSync, constants, fstatSync, openSync } from "node:fs"
import { KvError } from "../errors/kv-error.ts"
import { checkAbi } from "./ffi/check-abi.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { Span } from "./memory-span.ts"
import { osError } from "./os-error.ts"
import { endMapping } from "./placeholder.ts"

/**
 * Maps the first `byteLength` bytes of a file, to read and write them: what is written here is seen by everybody who maps it.
 *
 * Its owner is trusted not to cut it: looking at a page that is no longer there ends this process (SIGBUS). For a peer's memory
 * there is `mapForeign`, which trusts nobody.
 * @throws KvError KV_OS when it cannot be opened or mapped, or is shorter.
 */
export function mapSharedFile(path: string, byteLength: number, name: string): SharedFile {
  checkAbi()
  const fd = opened(path, name)
  try {
    const { size } = fstatSync(fd)
    if (!Number.isSafeInteger(byteLength) || byteLength < 1 || size < byteLength) {
      throw new KvError("KV_OS", {
        what: `${byteLength} bytes of ${name} were to be mapped`,
        why: `its file has ${size} bytes`,
      })
    }
    const address = libc.mmap(0, byteLength, abi.PROT_READ | abi.PROT_WRITE, abi.MAP_SHARED, fd, 0)
    if (address === -1)
      throw osError("mmap", errno(), { what: `${byteLength} bytes of ${name} could not be mapped` })
    return new SharedFile(address, byteLength)
  } finally {
    closeSync(fd)
  }
}

/** A file that this process and others map. */
export class SharedFile extends Span implements Disposable {
  readonly #base: number
  #open = true

  constructor(address: number, byteLength: number) {
    super(address, byteLength)
    this.#base = address
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.retire()
    endMapping(this.#base, this.byteLength, this.viewed)
  }
}

function opened(path: string, name: string): number {
  try {
    // Never waits: whatever lies there, a pipe say.
    return openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  } catch (thrown) {
    throw new KvError("KV_OS", {
      what: `the file of ${name} cannot be opened`,
      why: thrown instanceof Error ? thrown.message : String(thrown),
      cause: thrown,
    })
  }
}
