import { kernelBootId, namespaceInode } from "./proc.ts"

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
  const [boot, networkNamespace] = [kernelBootId(), namespaceInode("net")]
  if (boot === undefined || !/^[0-9a-f-]{36}$/.test(boot) || networkNamespace === undefined) return undefined
  known = { kernelBootId: boot, networkNamespace }
  return known
}
