import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"

const cgroups = "/sys/fs/cgroup"

/** Memory that this process could still take, and which limit says so. */
export interface FreeMemory {
  readonly bytes: number
  readonly limit: string
}

/**
 * The least of what the machine and the control groups (version 2) of this process have left. File cache counts as
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
  for (const folder of groupFolders()) {
    const max = Number(text(join(folder, "memory.max")) ?? Number.NaN)
    const used = Number(text(join(folder, "memory.current")) ?? Number.NaN)
    if (!Number.isFinite(max) || !Number.isFinite(used)) continue
    const stat = text(join(folder, "memory.stat")) ?? ""
    const cache = ["inactive_file", "active_file"].reduce(
      (sum, name) => sum + Number(new RegExp(`^${name} (\\d+)`, "m").exec(stat)?.[1] ?? 0),
      0,
    )
    const bytes = Math.max(0, max - used + cache)
    if (bytes < least.bytes) least = { bytes, limit: `the control group's memory.max of ${max} bytes` }
  }
  return least
}

/** The group of this process and those around it, as far as they can be seen from here. */
function groupFolders(): string[] {
  const path = /^0::(\/.*)$/m.exec(text("/proc/self/cgroup") ?? "")?.[1]
  if (path === undefined) return []
  const folders: string[] = []
  for (let at = path; ; at = dirname(at)) {
    folders.push(join(cgroups, at))
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
