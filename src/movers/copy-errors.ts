import { KvError } from "../errors/kv-error.ts"
import { libcAbi as abi } from "../os/ffi/libc-abi.ts"
import { osError } from "../os/os-error.ts"
import type { CopyRuns } from "./crew.ts"

/** A failure that a thread met, for whoever knows what the job was. */
export class ThreadFailure {
  readonly errno: number
  readonly entry: number

  constructor(errno: number, entry: number) {
    this.errno = errno
    this.entry = entry
  }
}

export const cancelled = (): KvError => new KvError("KV_CANCELLED", { what: "the transfer was cancelled" })

export const cancelledBefore = (): KvError =>
  new KvError("KV_CANCELLED", { what: "the transfer was cancelled before it began" })

export const pastDeadline = (): KvError =>
  new KvError("KV_DEADLINE", { what: "the deadline of a transfer passed before all its bytes were moved" })

export const closedWhileUnderWay = (): KvError =>
  new KvError("KV_CANCELLED", { what: "the threads that copy were closed with this transfer under way" })

/** What the kernel answered to a copy between processes. */
export function remoteFailure(
  { errno, entry }: ThreadFailure,
  { remote, bytes }: Pick<CopyRuns, "remote" | "bytes">,
): Error {
  const pid = remote?.pid ?? 0
  const call = remote?.side === "target" ? "process_vm_writev" : "process_vm_readv"
  if (errno === abi.ESRCH) {
    return osError(call, errno, { what: `process ${pid} is gone` }, "KV_PEER_LOST")
  }
  return osError(call, errno, {
    what: `run ${entry} of a copy of ${bytes} bytes ${remote?.side === "target" ? "to" : "from"} process ${pid} failed`,
    next:
      errno === abi.EFAULT
        ? "check that the peer has the region mapped: an address over there is not"
        : "check that both processes belong to one user, and that nothing forbids one to read the other",
  })
}
