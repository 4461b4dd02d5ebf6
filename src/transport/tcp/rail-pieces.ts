import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type { HashUnits, MoveRequest, RegionDescriptor } from "../transport.ts"
import { noPiece, pieceOfUnits } from "./unit-pieces.ts"

/**
 * The pieces of one move that one rail carries, worked out once.
 *
 * The columns lie in memory that threads share: telling a mover about them copies nothing.
 */
export interface RailPieces {
  readonly count: number
  readonly bytes: number
  /** Where each piece lies in this process: made by our span, after its bounds were checked. */
  readonly address: Float64Array<SharedArrayBuffer>
  readonly remoteOffset: Float64Array<SharedArrayBuffer>
  /** The peer's key for this rail. */
  readonly rkey: Uint32Array<SharedArrayBuffer>
  readonly length: Uint32Array<SharedArrayBuffer>
  /** One number: bytes of the post under way that have moved, as far as the mover has said so. */
  readonly moved: Float64Array<SharedArrayBuffer>
  /** Our regions that the pieces lie in. */
  readonly regions: readonly number[]
  readonly hashes?: RailHashes
}

/** Units to hash as soon as their piece has landed, in the order of the pieces. */
export interface RailHashes {
  /** The unit's piece, as its number among the pieces of this rail. */
  readonly piece: Uint32Array<SharedArrayBuffer>
  readonly region: Uint32Array<SharedArrayBuffer>
  readonly offset: Float64Array<SharedArrayBuffer>
  readonly length: Uint32Array<SharedArrayBuffer>
  readonly seed: BigUint64Array<SharedArrayBuffer>
  /** The unit's number in the request, and in `results`. */
  readonly unit: Uint32Array<SharedArrayBuffer>
  readonly results: BigUint64Array<SharedArrayBuffer>
}

/** A checked move, dealt to the rails that carry a part of it. */
export interface DealtMove {
  readonly parts: ReadonlyMap<number, RailPieces>
  /** One hash for each unit, written by the movers; undefined when too many lie in no single piece. */
  readonly results: BigUint64Array<SharedArrayBuffer> | undefined
  /** Units that lie in no single piece: to be hashed when all rails have ended. */
  readonly late: readonly number[]
}

/** Most units that are hashed at the end, by the thread that posted. With more, all is left to the caller. */
const lateUnitsMax = 64

/**
 * Works out what each rail carries, with the peer's keys filled in.
 *
 * @param railOf the local rail of piece i.
 * @param peerRails rails of the peer: its key for rail r is the one for `r % peerRails`.
 */
export function dealMove(
  request: MoveRequest,
  spans: ReadonlyMap<number, MemorySpan>,
  rails: number,
  peerRails: number,
  railOf: (piece: number) => number,
): DealtMove {
  const { plan, direction, remote } = request
  const counts = Array<number>(rails).fill(0)
  for (let i = 0; i < plan.pieces; i++) counts[railOf(i)]! += 1
  const reading = direction === "read"
  const remoteRegion = reading ? plan.sourceRegion : plan.targetRegion
  const remoteOffset = reading ? plan.sourceOffset : plan.targetOffset
  const localRegion = reading ? plan.targetRegion : plan.sourceRegion
  const localOffset = reading ? plan.targetOffset : plan.sourceOffset
  const { hashes: units } = request
  const owners = units === undefined || !reading ? undefined : pieceOfUnits(plan, units)
  const late = owners === undefined ? [] : [...owners.keys()].filter((unit) => owners[unit] === noPiece)
  const results =
    owners === undefined || late.length > lateUnitsMax
      ? undefined
      : new BigUint64Array(new SharedArrayBuffer(owners.length * 8))
  // Checked now: a wrong number is an error before the first byte moves.
  if (results !== undefined) for (const unit of late) viewOfUnit(units!, unit, spans)
  const parts = new Map<number, RailPieces>()
  counts.forEach((count, rail) => {
    if (count === 0) return
    const columns = emptyColumns(count)
    const regions = new Set<number>()
    const keyOf = keysOf(remote, rail % peerRails)
    let [region, span, remoteId, rkey] = [-1, undefined as MemorySpan | undefined, -1, 0]
    let [at, bytes] = [0, 0]
    for (let i = 0; i < plan.pieces; i++) {
      if (railOf(i) !== rail) continue
      if (localRegion[i] !== region) {
        region = localRegion[i]!
        span = spans.get(region)!
        regions.add(region)
      }
      if (remoteRegion[i] !== remoteId) {
        remoteId = remoteRegion[i]!
        rkey = keyOf.get(remoteId)!
      }
      const length = plan.length[i]!
      columns.address[at] = span!.addressOf(localOffset[i]!, length)
      columns.remoteOffset[at] = remoteOffset[i]!
      columns.rkey[at] = rkey
      columns.length[at++] = length
      bytes += length
    }
    const hashes = results === undefined ? undefined : railHashes(units!, owners!, rail, railOf, results)
    const part = { count, bytes, ...columns, regions: [...regions] }
    parts.set(rail, hashes === undefined ? part : { ...part, hashes })
  })
  return { parts, results, late }
}

/** @throws KvError KV_REGION_BOUNDS, KV_RKEY_REJECTED when a unit does not lie in memory that the move touches. */
export function viewOfUnit(
  { region, offset, length }: HashUnits,
  unit: number,
  spans: ReadonlyMap<number, MemorySpan>,
): Uint8Array {
  const span = spans.get(region[unit]!)
  if (span !== undefined) return span.view(offset[unit]!, length[unit]!)
  throw new KvError("KV_RKEY_REJECTED", {
    what: `unit ${unit} is to be hashed in region ${region[unit]}, into which the transfer moves nothing`,
  })
}

function keysOf(remote: readonly RegionDescriptor[], peerRail: number): Map<number, number> {
  return new Map(remote.map(({ region, rkeys }) => [region, rkeys[peerRail % rkeys.length]!]))
}

function emptyColumns(
  count: number,
): Pick<RailPieces, "address" | "remoteOffset" | "rkey" | "length" | "moved"> {
  const buffer = new SharedArrayBuffer(count * 24 + 8)
  return {
    moved: new Float64Array(buffer, count * 24, 1),
    address: new Float64Array(buffer, 0, count),
    remoteOffset: new Float64Array(buffer, count * 8, count),
    rkey: new Uint32Array(buffer, count * 16, count),
    length: new Uint32Array(buffer, count * 20, count),
  }
}

function railHashes(
  units: HashUnits,
  owners: Uint32Array,
  rail: number,
  railOf: (piece: number) => number,
  results: BigUint64Array<SharedArrayBuffer>,
): RailHashes | undefined {
  const mine = [...owners.keys()].filter((unit) => owners[unit] !== noPiece && railOf(owners[unit]!) === rail)
  if (mine.length === 0) return undefined
  mine.sort((a, b) => owners[a]! - owners[b]!)
  const count = mine.length
  const buffer = new SharedArrayBuffer(count * 32)
  const hashes = {
    seed: new BigUint64Array(buffer, 0, count),
    offset: new Float64Array(buffer, count * 8, count),
    piece: new Uint32Array(buffer, count * 16, count),
    region: new Uint32Array(buffer, count * 20, count),
    length: new Uint32Array(buffer, count * 24, count),
    unit: new Uint32Array(buffer, count * 28, count),
    results,
  }
  // Both lists ascend: one walk over the plan turns its numbers into the rail's.
  let [piece, place] = [-1, -1]
  mine.forEach((unit, at) => {
    while (piece < owners[unit]!) if (railOf(++piece) === rail) place += 1
    hashes.seed[at] = units.seed[unit]!
    hashes.offset[at] = units.offset[unit]!
    hashes.piece[at] = place
    hashes.region[at] = units.region[unit]!
    hashes.length[at] = units.length[unit]!
    hashes.unit[at] = unit
  })
  return hashes
}
