import { readFileSync, readlinkSync } from "node:fs"

/** What must be equal for two processes to share memory by a local socket. */
export interface MachineIdentity {
  /** The kernel's own id of its present life, as a UUID. */
  readonly kernelBootId: string
  /** The network namespace, by the number of its inode: local sockets are known inside one only. */
  readonly networkNamespace: number
}

/** Reads both; undefined where /proc does not tell. */
export function machineIdentity(): MachineIdentity | undefined {
  try {
    const kernelBootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    const inode = /^net:\[(\d+)\]$/.exec(readlinkSync("/proc/self/ns/net"))?.[1]
    if (!/^[0-9a-f-]{36}$/.test(kernelBootId) || inode === undefined) return undefined
    return { kernelBootId, networkNamespace: Number(inode) }
  } catch {
    return undefined
  }
}
