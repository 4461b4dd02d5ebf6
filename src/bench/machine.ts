import { readFileSync } from "node:fs"
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os"
import { freeMemory } from "../os/free-memory.ts"

/** The machine that a record was made on. */
export interface MachineFacts {
  readonly cpuModel: string
  readonly cores: number
  /** In words: what the kernel says of the first core's caches. */
  readonly caches: string
  readonly memoryBytes: number
  readonly kernel: string
  readonly node: string
  readonly platform: string
  /** Whether a hypervisor shares the machine out. */
  readonly virtual: string
  /** Whether private memory gets huge pages, in the kernel's words. */
  readonly hugePages: string
  /** Whether memory files get huge pages, in the kernel's words. */
  readonly sharedMemoryHugePages: string
}

export function machineFacts(): MachineFacts {
  return {
    cpuModel: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    caches: cacheText(),
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    virtual: / hypervisor( |$)/m.test(textOf("/proc/cpuinfo") ?? "") ? "a virtual machine" : "no hypervisor",
    hugePages: bracketed(textOf("/sys/kernel/mm/transparent_hugepage/enabled")),
    sharedMemoryHugePages: bracketed(textOf("/sys/kernel/mm/transparent_hugepage/shmem_enabled")),
  }
}

/** Sizes as sysfs has them, such as "L1 48K + 64K, L2 2048K, L3 480M". */
function cacheText(): string {
  const levels = new Map<string, string[]>()
  for (let index = 0; index < 8; index++) {
    const folder = `/sys/devices/system/cpu/cpu0/cache/index${index}`
    const [level, size] = [textOf(`${folder}/level`)?.trim(), textOf(`${folder}/size`)?.trim()]
    if (level === undefined || size === undefined) break
    levels.set(level, [...(levels.get(level) ?? []), size])
  }
  const text = [...levels].map(([level, sizes]) => `L${level} ${sizes.join(" + ")}`).join(", ")
  return text === "" ? "caches unknown" : text
}

/** Runnable processes, averaged over the last minute: above the number of cores, numbers are of little worth. */
export const loadAverage1Minute = (): number => loadavg()[0]!

/** Ticks of `/proc/stat` in a second, on every Linux that we run on. */
const ticksPerSecond = 100

/** Processor time that all cores have given to anybody since the machine started, in microseconds. */
export function busyMicros(): number {
  // cpu user nice system idle iowait irq softirq steal: what a hypervisor took away is somebody's too.
  const ticks = (/^cpu\s+(.*)$/m.exec(textOf("/proc/stat") ?? "")?.[1] ?? "").split(" ").map(Number)
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = ticks
  return ((user + nice + system + irq + softirq + steal) / ticksPerSecond) * 1e6
}

/** Processor time of a process and all its threads, in microseconds, to a hundredth of a second; 0 when it has ended. */
export function processMicros(pid: number): number {
  // After the name, which may hold anything in its parentheses: state is field 3, utime field 14, stime field 15.
  const fields = (textOf(`/proc/${pid}/stat`) ?? "").split(") ").at(-1)!.split(" ")
  return ((Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond) * 1e6
}

/** Bytes that can be taken without pushing anything out, on this machine and in this process's control groups. */
export const availableBytes = (): number => freeMemory().bytes

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

/** The choice in force of a sysfs file such as `always [never]`. */
const bracketed = (text: string | undefined): string => /\[(\w+)\]/.exec(text ?? "")?.[1] ?? "unknown"
