import { unlinkSync } from "node:fs"

/**
 * Removes what an endpoint of libfabric's shm shares, by its address: some MB of memory that stay when it is not closed.
 * Whoever has it mapped keeps it.
 *
 * @param address such as `fi_shm://1234:0:1`, with zeros behind it. Any other address is left alone.
 * @see smr_no_prefix() in prov/shm/src/smr_util.h of libfabric
 */
export function removeSharedFile(address: Uint8Array): void {
  const name = /^fi_shm:\/\/(\d+(?::\d+)+)\0*$/.exec(Buffer.from(address).toString("latin1"))?.[1]
  if (name === undefined) return
  try {
    unlinkSync(`/dev/shm/${name}`)
  } catch {
    // libfabric was first, or puts it somewhere else.
  }
}
