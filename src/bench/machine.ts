import { readFileSync } from "node:fs"
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os"

/** The machine that a record was made on. */
export interface MachineFacts {
  readonly cpuModel: string
  readonly cores: number
  readonly memoryBytes: number
  readonly kernel: string
  readonly node: string
  readonly platform: string
  /** Whether memory files get huge pages, in the kernel's words. */
  readonly sharedMemoryHugePages: string
}

export function machineFacts(): MachineFacts {
  return {
    cpuModel: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    sharedMemoryHugePages: bracketed(textOf("/sys/kernel/mm/transparent_hugepage/shmem_enabled")),
  }
}

/** Runnable processes, averaged over the last minute: above the number of cores, numbers are of little worth. */
export const loadAverage1Minute = (): number => loadavg()[0]!

/** Bytes that can be taken without pushing anything out. */
export function availableBytes(): number {
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(textOf("/proc/meminfo") ?? "")
  return line === null ? Number.POSITIVE_INFINITY : Number(line[1]) * 1024
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

/** The choice in force of a sysfs file such as `always [never]`. */
const bracketed = (text: string | undefined): string => /\[(\w+)\]/.exec(text ?? "")?.[1] ?? "unknown"
