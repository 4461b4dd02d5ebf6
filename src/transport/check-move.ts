import { KvError } from "../errors/kv-error.ts"
import type { MemorySpan } from "../memory/host-memory.ts"
import type { MoveRequest } from "./transport.ts"

/**
 * Checks every piece of a move against our registered regions and the peer's descriptors, before anything is posted.
 *
 * This is the one place where numbers of a plan become trusted: fabrics may compose addresses from it afterwards.
 * @throws KvError KV_REGION_BOUNDS, KV_RKEY_REJECTED.
 */
export function checkMove(move: MoveRequest, local: ReadonlyMap<number, MemorySpan>): void {
  const { plan, direction } = move
  const remoteLengths = new Map(move.remote.map((descriptor) => [descriptor.region, descriptor.length]))
  const reading = direction === "read"
  const localRegion = reading ? plan.targetRegion : plan.sourceRegion
  const localOffset = reading ? plan.targetOffset : plan.sourceOffset
  const remoteRegion = reading ? plan.sourceRegion : plan.targetRegion
  const remoteOffset = reading ? plan.sourceOffset : plan.targetOffset
  for (let i = 0; i < plan.pieces; i++) {
    const length = plan.length[i]!
    const span = local.get(localRegion[i]!)
    if (span === undefined) throw unknownRegion(i, localRegion[i]!, "this side")
    if (!inside(localOffset[i]!, length, span.byteLength)) {
      throw outside(i, localOffset[i]!, length, localRegion[i]!, span.byteLength, "this side's")
    }
    const remoteLength = remoteLengths.get(remoteRegion[i]!)
    if (remoteLength === undefined) throw unknownRegion(i, remoteRegion[i]!, "the peer")
    if (!inside(remoteOffset[i]!, length, remoteLength)) {
      throw outside(i, remoteOffset[i]!, length, remoteRegion[i]!, remoteLength, "the peer's")
    }
  }
}

/** True when `length` bytes at `offset` lie in a region of `byteLength` bytes, and both are honest numbers. */
export function inside(offset: number, length: number, byteLength: number): boolean {
  return (
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length > 0 &&
    offset + length <= byteLength
  )
}

function unknownRegion(piece: number, region: number, side: string): KvError {
  return new KvError("KV_RKEY_REJECTED", {
    what: `piece ${piece} names region ${region}, which ${side} has not registered`,
    next: "fetch the peer's card again: it may have restarted",
  })
}

function outside(
  piece: number,
  offset: number,
  length: number,
  region: number,
  byteLength: number,
  side: string,
): KvError {
  return new KvError("KV_REGION_BOUNDS", {
    what: `piece ${piece} names ${length} bytes at offset ${offset} of ${side} region ${region}`,
    why: `that region has ${byteLength} bytes`,
    next: "check that the plan was made for these two layouts",
  })
}
