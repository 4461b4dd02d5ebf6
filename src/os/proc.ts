import { readFileSync, readlinkSync } from "node:fs"

/** What a file of /proc says, without its line's end; undefined where it is not there or not ours to read. */
export function procText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trimEnd()
  } catch {
    return undefined
  }
}

/** The kernel's own id of its present life, a UUID: two processes with one run under one kernel. */
export const kernelBootId = (): string | undefined => procText("/proc/sys/kernel/random/boot_id")

/** The inode of a namespace that this process lives in; undefined where the kernel does not say. */
export function namespaceInode(kind: "net" | "pid"): number | undefined {
  try {
    const inode = /\d+/.exec(readlinkSync(`/proc/self/ns/${kind}`))?.[0]
    return inode === undefined ? undefined : Number(inode)
  } catch {
    return undefined
  }
}
