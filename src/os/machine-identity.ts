import { readFileSync, readlinkSync } from "node:fs"

/** What must be equal for two processes to share memory by a local socket. */
export interface MachineIdentity {
  /** The kernel's own id of its present life, as a UUID. */
  readonly kernelBootId: string
  /** The network namespace, by the number of its inode: local sockets are known inside one only. */
  readonly networkNamespace: number
}

let known: MachineIdentity | undefined

/** Reads both, once; undefined where /proc does not tell. */
export function machineIdentity(): MachineIdentity | undefined {
  if (known !== undefined) return known
  try {
    const kernelBootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    const inode = /^net:\[(\d+)\]$/.exec(readlinkSync("/proc/self/ns/net"))?.[1]
    if (!/^[0-9a-f-]{36}$/.test(kernelBootId) || inode === undefined) return undefined
    known = { kernelBootId, networkNamespace: Number(inode) }
    return known
  } catch {
    return undefined
  }
}
