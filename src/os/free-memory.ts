import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"

/** What a version of control groups calls things. @see https://docs.kernel.org/admin-guide/cgroup-v2.html, cgroup-v1/memory.html */
interface GroupNames {
  /** The line of /proc/self/cgroup with the group's path. */
  readonly line: RegExp
  readonly root: string
  readonly limit: string
  readonly used: string
  /** File cache, in memory.stat, with that of the groups below. */
  readonly cache: readonly string[]
}

const groupVersions: readonly GroupNames[] = [
  {
    line: /^0::(\/.*)$/m,
    root: "/sys/fs/cgroup",
    limit: "memory.max",
    used: "memory.current",
    cache: ["inactive_file", "active_file"],
  },
  {
    line: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(\/.*)$/m,
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cache: ["total_inactive_file", "total_active_file"],
  },
]

/** Memory that this process could still take, and which limit says so. */
export interface FreeMemory {
  readonly bytes: number
  readonly limit: string
}

/**
 * The least of what the machine and the control groups of this process have left. File cache counts as
 * free: the kernel drops it first.
 *
 * A guess at one moment: others take memory too. It is there to refuse what cannot work before the kernel kills for it.
 */
export function freeMemory(): FreeMemory {
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(text("/proc/meminfo") ?? "")?.[1]
  let least: FreeMemory = {
    bytes: available === undefined ? Number.POSITIVE_INFINITY : Number(available) * 1024,
    limit: "the machine",
  }
  for (const names of groupVersions) {
    for (const folder of groupFolders(names)) {
      const bytes = leftIn(folder, names)
      if (bytes === undefined || bytes.left >= least.bytes) continue
      least = { bytes: bytes.left, limit: `the control group's ${names.limit} of ${bytes.max} bytes` }
    }
  }
  return least
}

function leftIn(
  folder: string,
  names: GroupNames,
): { readonly left: number; readonly max: number } | undefined {
  const max = Number(text(join(folder, names.limit)) ?? Number.NaN)
  const used = Number(text(join(folder, names.used)) ?? Number.NaN)
  if (!Number.isFinite(max) || !Number.isFinite(used)) return undefined
  const stat = text(join(folder, "memory.stat")) ?? ""
  const cache = names.cache.reduce(
    (sum, name) => sum + Number(new RegExp(`^${name} (\\d+)`, "m").exec(stat)?.[1] ?? 0),
    0,
  )
  return { left: Math.max(0, max - used + cache), max }
}

/** The group of this process and those around it, as far as they can be seen from here. */
function groupFolders({ line, root }: GroupNames): string[] {
  const path = line.exec(text("/proc/self/cgroup") ?? "")?.[1]
  if (path === undefined) return []
  const folders: string[] = []
  for (let at = path; ; at = dirname(at)) {
    folders.push(join(root, at))
    if (at === "/") return folders
  }
}

function text(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}
