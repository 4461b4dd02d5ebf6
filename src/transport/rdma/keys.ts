import { KvError } from "../../errors/kv-error.ts"
import type { RegionDescriptor } from "../transport.ts"
import type { RegionPart } from "./units.ts"

/** How many registrations a region of `length` bytes is made of. An empty one still has its first. */
export function partsOf(length: number, partBytes: number): number {
  return Math.max(1, Math.ceil(length / partBytes))
}

/** The keys of a peer's regions: of how many rails, and in parts of which size. */
export interface RemoteKeys {
  readonly descriptors: readonly RegionDescriptor[]
  readonly rails: number
  readonly partBytes: number
}

/**
 * The keys of the peer for one of **its** rails, one for each row. A descriptor holds them rail by rail: `rkeys[rail * parts + part]`.
 *
 * A lane binds the table of its remote rail. The number of the local rail has nothing to do with it; key 0 is a key.
 * @throws KvError KV_RKEY_REJECTED for a region whose descriptor lacks it; KV_REGION_BOUNDS for one that is said to be longer than
 *   its keys reach.
 */
export function remoteKeysOf(
  rows: readonly RegionPart[],
  remoteRail: number,
  { descriptors, rails, partBytes }: RemoteKeys,
): Uint32Array<SharedArrayBuffer> {
  const byRegion = new Map(descriptors.map((descriptor) => [descriptor.region, descriptor]))
  const keys = new Uint32Array(new SharedArrayBuffer(rows.length * 4))
  rows.forEach(({ region, part }, row) => {
    const descriptor = byRegion.get(region)
    const parts = descriptor === undefined ? 0 : partsOf(descriptor.length, partBytes)
    const key = descriptor?.rkeys[remoteRail * parts + part]
    const held = descriptor === undefined ? 0 : descriptor.rkeys.length / rails
    if (Number.isInteger(held) && held > 0 && held < parts) {
      throw new KvError("KV_REGION_BOUNDS", {
        what: `region ${region} of the peer is said to have ${descriptor!.length} bytes, in ${parts} parts of ${partBytes}`,
        why: `it has keys for ${held} of them`,
        next: "fetch the peer's card again",
      })
    }
    if (key === undefined || descriptor!.rkeys.length !== rails * parts || part >= parts) {
      throw new KvError("KV_RKEY_REJECTED", {
        what: `region ${region} of the peer has ${descriptor?.rkeys.length ?? 0} keys; rail ${remoteRail} of its ${rails} was asked for`,
        why: `a region of ${descriptor?.length ?? 0} bytes has one key for each rail and part: ${rails * parts}`,
        next: "fetch the peer's card again: it may have restarted with other rails",
      })
    }
    keys[row] = key
  })
  return keys
}
