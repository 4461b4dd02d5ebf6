import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { osError } from "./os-error.ts"

/** What nobody can do any more with a memory file, for as long as it lives. */
export interface Seals {
  /** It can be made neither shorter nor longer. */
  readonly size: boolean
  /** It can be written only through the mappings that could before. */
  readonly futureWrites: boolean
}

const size = abi.F_SEAL_SHRINK | abi.F_SEAL_GROW

/** Reads the seals of a file; undefined when it is no memory file. */
export function sealsOf(fd: number): Seals | undefined {
  const bits = libc.fcntl(fd, abi.F_GET_SEALS, 0)
  if (bits < 0) return undefined
  return {
    size: (bits & size) === size,
    futureWrites: (bits & (abi.F_SEAL_FUTURE_WRITE | abi.F_SEAL_WRITE)) !== 0,
  }
}

/**
 * Seals a memory file of ours; seals that are there already are fine, and none is ever taken away.
 * @throws KvError KV_OS: no memory file, its seals are closed, or a kernel before Linux 5.1.
 */
export function seal(fd: number, wanted: Seals): void {
  const bits = (wanted.size ? size : 0) | (wanted.futureWrites ? abi.F_SEAL_FUTURE_WRITE : 0)
  const present = libc.fcntl(fd, abi.F_GET_SEALS, 0)
  if (present >= 0 && (present & bits) === bits) return
  if (libc.fcntl(fd, abi.F_ADD_SEALS, bits) === 0) return
  throw osError("fcntl(F_ADD_SEALS)", errno(), {
    what: `file ${fd} could not be sealed against ${wanted.futureWrites ? "writers and " : ""}a change of its size`,
    next: "it must be a memfd made with MFD_ALLOW_SEALING, and sealing against writers needs Linux 5.1",
  })
}
