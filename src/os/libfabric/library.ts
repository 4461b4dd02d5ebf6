import { readFileSync } from "node:fs"
import { KvError } from "../../errors/kv-error.ts"
import { checkAbi } from "../ffi/check-abi.ts"
import { bindLibfabric } from "../ffi/libfabric.ts"

/** The name that the loader resolves. */
export const libfabricFile = "libfabric.so.1"

/** Versions (major.minor) with which the whole suite has run. Others work after a self-check. */
export const testedVersions: ReadonlySet<string> = new Set(["1.17", "2.6"])
/** Before it providers and memory registration were described in another way. */
const oldest = { major: 1, minor: 14 }
/** Layouts were compared up to here; a new major version may move a field. */
const newestMajor = 2
/** The interface version we are written for: later libraries still speak it. */
const spoken = { major: 1, minor: 17 }

/** libfabric as it was opened in this process. */
export interface Libfabric {
  /** The file, as the kernel names it. */
  readonly path: string
  /** Such as `1.17`. */
  readonly version: string
  readonly tested: boolean
  /** What to ask `fi_getinfo` for. */
  readonly apiVersion: number
  readonly c: ReturnType<typeof bindLibfabric>["functions"]
}

/**
 * Opens libfabric in the calling thread; all threads of a process share one copy.
 *
 * @throws KvError KV_TRANSPORT_UNAVAILABLE where there is none, a version that we cannot speak to, or a second copy in
 * this process: each has its own providers, memory registrations and signal handlers, and they fight.
 */
export function openLibfabric(file: string = libfabricFile): Libfabric {
  checkAbi()
  const { functions: c } = bindLibfabric(file)
  const copies = libfabricCopies(readFileSync("/proc/self/maps", "utf8"))
  if (copies.length > 1) throw twoCopies(copies)
  const path = copies[0] ?? file
  const found = c.fi_version()
  const [major, minor] = [found >>> 16, found & 0xffff]
  checkVersion(major, minor, path)
  const version = `${major}.${minor}`
  const speak = major > spoken.major || minor >= spoken.minor ? spoken : { major, minor }
  const apiVersion = speak.major * 65536 + speak.minor
  return { path, version, tested: testedVersions.has(version), apiVersion, c }
}

/** @throws KvError KV_TRANSPORT_UNAVAILABLE for a libfabric that is too old, or newer than what we know. */
export function checkVersion(major: number, minor: number, path: string): void {
  const old = major < oldest.major || (major === oldest.major && minor < oldest.minor)
  if (!old && major <= newestMajor) return
  throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `${path} is libfabric ${major}.${minor}, which kvferry does not drive`,
    why: `it knows ${oldest.major}.${oldest.minor} to ${newestMajor}.x, and was tested with ${[...testedVersions].join(", ")}`,
    next: "install a libfabric in that range, or put its folder first in LD_LIBRARY_PATH",
  })
}

/** The different files that are mapped as a libfabric, out of a `/proc/…/maps`. */
export function libfabricCopies(maps: string): string[] {
  const byFile = new Map<string, string>()
  for (const line of maps.split("\n")) {
    // address perms offset dev inode path
    const found = /^\S+ \S+ \S+ (\S+ \d+)\s+(\/.*\/libfabric[^/]*\.so[^/]*)$/.exec(line)
    if (found !== null) byFile.set(found[1]!, found[2]!)
  }
  return [...byFile.values()].sort()
}

function twoCopies(copies: readonly string[]): KvError {
  return new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `this process has ${copies.length} copies of libfabric: ${copies.join(" and ")}`,
    why: "each has its own providers, registrations and signal handlers, and they disturb one another",
    next: "let the other package use the machine's libfabric, or run kvferry in a process of its own",
  })
}

/** What libfabric says to an error number, which it returns negated. */
export const fabricErrorText = ({ c }: Pick<Libfabric, "c">, result: number): string =>
  `${c.fi_strerror(Math.abs(result))} (${result})`

/** Turns a negative result into an error. @throws KvError KV_OS, or the code that is given. */
export function fabricChecked(
  library: Pick<Libfabric, "c">,
  call: string,
  result: number,
  code: "KV_OS" | "KV_TRANSPORT_UNAVAILABLE" = "KV_OS",
): number {
  if (result >= 0) return result
  throw new KvError(code, { what: `${call} failed`, why: fabricErrorText(library, result) })
}
