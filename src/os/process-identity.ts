import { kernelBootId, namespaceInode, procText } from "./proc.ts"

/** What tells one process of the world from all others, as plain data. */
export interface ProcessIdentity {
  /** The machine's boot id: two processes with one run under one kernel. */
  readonly machine: string
  /** The pid namespace's inode: a pid means the same process only within one. 0 where the kernel does not say. */
  readonly pidNamespace: number
  readonly pid: number
  /** When the process started, in clock ticks since boot: a pid is given out again. */
  readonly startTicks: number
}

/** This process. */
export function thisProcess(): ProcessIdentity {
  return {
    machine: kernelBootId() ?? "",
    pidNamespace: namespaceInode("pid") ?? 0,
    pid: process.pid,
    startTicks: startTicksOf(process.pid) ?? 0,
  }
}

/** When a process of this pid namespace started; undefined when there is none, or only what is left of it. */
export function startTicksOf(pid: number): number | undefined {
  // The command's name, in brackets, may hold blanks and brackets itself: what follows the last one counts.
  const stat = procText(`/proc/${pid}/stat`) ?? ""
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const [state] = fields
  if (state === undefined || state === "" || state === "Z" || state === "X") return undefined
  return Number(fields[19])
}

/** The user that a process runs as; undefined when it is not there. @see proc_pid_status(5) */
export function userOf(pid: number): number | undefined {
  const line = /^Uid:\s+(\d+)/m.exec(procText(`/proc/${pid}/status`) ?? "")
  return line === null ? undefined : Number(line[1])
}

/** Yama's rule on looking into other processes, 0 to 3; undefined where the kernel has no Yama. */
export function ptraceScope(): number | undefined {
  const text = procText("/proc/sys/kernel/yama/ptrace_scope")
  return text === undefined || text === "" ? undefined : Number(text)
}
