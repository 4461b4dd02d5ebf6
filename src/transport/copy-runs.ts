import { KvError } from "../errors/kv-error.ts"
import type { MemorySpan } from "../memory/host-memory.ts"
import type { CopyHashes, CopyRuns } from "../movers/crew.ts"
import type { HashUnits, MoveRequest } from "./transport.ts"

/** A move as a crew copies it. */
export interface CopyOfMove {
  readonly runs: CopyRuns
  /** Brings the hashes of the copy into the order of the move's units. */
  inOrder(hashes: BigUint64Array): BigUint64Array
}

/**
 * The runs of a move that a processor carries out: addresses in place of regions and offsets.
 *
 * `checkMove()` has passed. `remote(region)` is the peer's region where it is mapped here, else the address at which it
 * starts over there, in process `pid`.
 * @throws KvError KV_REGION_BOUNDS when a unit to hash lies in no piece of the plan.
 */
export function copyOfMove(
  request: MoveRequest,
  local: ReadonlyMap<number, MemorySpan>,
  remote: (region: number) => MemorySpan | number,
  pid?: number,
): CopyOfMove {
  const { plan, direction, hashes: units } = request
  const reading = direction === "read"
  const spans: MemorySpan[] = []
  const places = new Map<number, number>()
  const start = (span: MemorySpan): number => {
    spans.push(span)
    return span.addressOf(0, span.byteLength)
  }
  const localBase = (region: number): number => {
    places.set(region, spans.length)
    return start(local.get(region)!)
  }
  const remoteBase = (region: number): number => {
    const there = remote(region)
    return typeof there === "number" ? there : start(there)
  }
  const runs: CopyRuns = {
    count: plan.pieces,
    bytes: plan.bytes,
    sourceAddress: addresses(plan.sourceRegion, plan.sourceOffset, reading ? remoteBase : localBase),
    targetAddress: addresses(plan.targetRegion, plan.targetOffset, reading ? localBase : remoteBase),
    length: plan.length,
    spans,
    ...(pid === undefined ? {} : { remote: { pid, side: reading ? "source" : "target" } }),
  }
  if (units === undefined || !reading || units.count === 0) return { runs, inOrder: (hashes) => hashes }
  const order = new Uint32Array(units.count)
  const run = runsOfUnits(request, units, order)
  return {
    runs: { ...runs, hashes: columns(units, order, run, places) },
    inOrder: (found) => {
      const sorted = new BigUint64Array(found.length)
      for (let i = 0; i < found.length; i++) sorted[order[i]!] = found[i]!
      return sorted
    },
  }
}

/** Addresses of a column of places; `baseOf` is asked once for each region. */
function addresses(
  regions: Uint32Array,
  offsets: Float64Array,
  baseOf: (region: number) => number,
): Float64Array {
  const result = new Float64Array(regions.length)
  const bases = new Map<number, number>()
  let [region, base] = [-1, 0]
  for (let i = 0; i < regions.length; i++) {
    if (regions[i]! !== region) {
      region = regions[i]!
      base = bases.get(region) ?? baseOf(region)
      bases.set(region, base)
    }
    result[i] = base + offsets[i]!
  }
  return result
}

/**
 * The piece that each unit lies in, ascending, with `order[i]` as the unit that comes i-th.
 *
 * Plan and units are mostly made in one order, so a unit lies in the piece of the one before it, or in the next.
 */
function runsOfUnits({ plan }: MoveRequest, units: HashUnits, order: Uint32Array): Uint32Array {
  const { targetRegion, targetOffset, length } = plan
  const run = new Uint32Array(units.count)
  let piece = 0
  const inside = (unit: number): boolean =>
    piece < plan.pieces &&
    targetRegion[piece] === units.region[unit] &&
    targetOffset[piece]! <= units.offset[unit]! &&
    units.offset[unit]! + units.length[unit]! <= targetOffset[piece]! + length[piece]!
  let before = 0
  for (let unit = 0; unit < units.count; unit++) {
    const last = piece
    while (piece <= last + 1 && !inside(unit)) piece += 1
    // Also the units of one piece ascend: a thread hashes them while it goes through it.
    if (!inside(unit) || (unit > 0 && piece === last && units.offset[unit]! < before)) {
      return sortedRuns(plan, units, order)
    }
    order[unit] = unit
    run[unit] = piece
    before = units.offset[unit]!
  }
  return run
}

/** The same for units in any order. */
function sortedRuns(plan: MoveRequest["plan"], units: HashUnits, order: Uint32Array): Uint32Array {
  const byPlace = (regions: Uint32Array, offsets: Float64Array) => (one: number, other: number) =>
    regions[one]! - regions[other]! || offsets[one]! - offsets[other]!
  const pieces = Uint32Array.from({ length: plan.pieces }, (_, i) => i)
  pieces.sort(byPlace(plan.targetRegion, plan.targetOffset))
  const sorted = Uint32Array.from({ length: units.count }, (_, i) => i)
  sorted.sort(byPlace(units.region, units.offset))
  const found = new Uint32Array(units.count)
  let at = 0
  for (const unit of sorted) {
    const [region, offset] = [units.region[unit]!, units.offset[unit]!]
    const end = offset + units.length[unit]!
    const ends = (piece: number): number => plan.targetOffset[piece]! + plan.length[piece]!
    while (
      at < pieces.length &&
      (plan.targetRegion[pieces[at]!]! < region ||
        (plan.targetRegion[pieces[at]!] === region && ends(pieces[at]!) < end))
    ) {
      at += 1
    }
    const piece = pieces[at]
    if (piece === undefined || plan.targetRegion[piece] !== region || plan.targetOffset[piece]! > offset) {
      throw new KvError("KV_REGION_BOUNDS", {
        what: `unit ${unit} to hash, ${units.length[unit]} bytes at offset ${offset} of region ${region}, lies in no piece of the plan`,
        next: "hash what arrives in parts after the transfer",
      })
    }
    found[unit] = piece
  }
  order.set(sorted)
  // Stable within a piece: the units of one are in the order of their places already.
  order.sort((one, other) => found[one]! - found[other]! || units.offset[one]! - units.offset[other]!)
  return Uint32Array.from(order, (unit) => found[unit]!)
}

/** @param places where each of our regions is among the copy's spans. */
function columns(
  units: HashUnits,
  order: Uint32Array,
  run: Uint32Array,
  places: ReadonlyMap<number, number>,
): CopyHashes {
  const span = new Uint32Array(units.count)
  const offset = new Float64Array(units.count)
  const length = new Uint32Array(units.count)
  const seed = new BigUint64Array(units.count)
  for (let i = 0; i < units.count; i++) {
    const unit = order[i]!
    span[i] = places.get(units.region[unit]!)!
    offset[i] = units.offset[unit]!
    length[i] = units.length[unit]!
    seed[i] = units.seed[unit]!
  }
  return { count: units.count, run, span, offset, length, seed }
}
