import { KvError } from "../errors/kv-error.ts"
import { procText } from "./proc.ts"

/** What the kernel lets this process pin, and what it has pinned. Bytes. */
export interface LockedMemory {
  /** RLIMIT_MEMLOCK's soft limit; infinite where there is none. */
  readonly limit: number
  readonly hardLimit: number
  /** Pinned for devices (`VmPin`): registrations and queues count here, each rail by itself. */
  readonly pinned: number
  /** Locked by `mlock` (`VmLck`): counted apart. */
  readonly locked: number
  /** True when the limit does not hold: CAP_IPC_LOCK in the first user namespace. */
  readonly exempt: boolean
}

const capIpcLock = 14n

/**
 * Reads what this process may pin. Undefined where /proc does not say.
 * @param read the text of a file of /proc; another one in tests.
 * @see getrlimit(2), capabilities(7), proc(5)
 */
export function readLockedMemory(
  read: (path: string) => string | undefined = procText,
): LockedMemory | undefined {
  const limits = read("/proc/self/limits")
  const status = read("/proc/self/status")
  const found = /^Max locked memory\s+(\S+)\s+(\S+)/m.exec(limits ?? "")
  if (found === null || status === undefined) return undefined
  const bytes = (text: string): number => (text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text))
  const kibibytes = (name: string): number =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0)
  const capabilities = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`)
  return {
    limit: bytes(found[1]!),
    hardLimit: bytes(found[2]!),
    pinned: kibibytes("VmPin"),
    locked: kibibytes("VmLck"),
    // A capability inside a user namespace of a container opens nothing here: the kernel asks the first one.
    exempt: ((capabilities >> capIpcLock) & 1n) === 1n && isFirstUserNamespace(read("/proc/self/uid_map")),
  }
}

/**
 * Checks that memory can be pinned, before anything is.
 *
 * @param byteLength of one region, in bytes.
 * @param rails how many devices register it: each pins it for itself, and each counts.
 * @throws KvError KV_LIMIT with the numbers.
 */
export function checkLockedMemory(
  byteLength: number,
  rails: number,
  memory: LockedMemory | undefined = readLockedMemory(),
): void {
  if (memory === undefined || memory.exempt) return
  const needed = byteLength * rails
  if (memory.pinned + needed <= memory.limit) return
  const room = memory.hardLimit - memory.pinned >= needed
  throw new KvError("KV_LIMIT", {
    what: `${byteLength} bytes cannot be registered with ${rails} ${rails === 1 ? "rail" : "rails"}: that pins ${needed} bytes`,
    why: `this process may pin ${memory.limit} bytes (RLIMIT_MEMLOCK) and has pinned ${memory.pinned}; it has no CAP_IPC_LOCK`,
    next: room
      ? `raise the soft limit: ulimit -l ${Math.ceil((memory.pinned + needed) / 1024)}`
      : `raise the limit (hard: ${memory.hardLimit} bytes): LimitMEMLOCK=infinity in systemd, --ulimit memlock=-1 in docker, or CAP_IPC_LOCK`,
  })
}

/** The first user namespace maps every id to itself. */
function isFirstUserNamespace(map: string | undefined): boolean {
  return map === undefined || /^\s*0\s+0\s+4294967295\s*$/.test(map)
}
