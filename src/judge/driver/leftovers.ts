import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"

/**
 * Removes what an engine's process has left in shared memory. One that is killed cannot do it itself, and each run would leave
 * megabytes more.
 *
 * libfabric's provider shm names its files `PID:UID:INDEX`; those of a process that has ended are nobody's.
 * @see https://github.com/ofiwg/libfabric/blob/main/prov/shm/src/smr_ep.c smr_setname
 */
export function removeLeftovers(pid: number, folder = "/dev/shm"): void {
  try {
    for (const name of readdirSync(folder)) {
      const [, owner] = /^(\d+):\d+:\d+$/.exec(name) ?? []
      if (Number(owner) === pid) rmSync(join(folder, name), { force: true })
    }
  } catch {
    // No such folder, or another user's files: there is nothing to be done for them.
  }
}
