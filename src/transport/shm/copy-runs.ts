import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type { CopyHashes, CopyRuns } from "../../movers/crew.ts"
import type { TransferPlan } from "../../plan/transfer-plan.ts"
import { checkMove, inside } from "../check-move.ts"
import type { HashUnits, MoveRequest } from "../transport.ts"
import type { RemoteRegion } from "./remote-regions.ts"

/** A move as the crew copies it. */
export interface ComposedMove {
  readonly runs: CopyRuns
  /** `unitOf[i]` is the caller's number of the crew's hash i; absent when both count alike. */
  readonly unitOf: Uint32Array | undefined
}

/**
 * Turns a plan's offsets into addresses of both sides' mappings. All bounds are checked here, against the mappings.
 * @throws KvError KV_REGION_BOUNDS, KV_RKEY_REJECTED, KV_PEER_UNTRUSTED.
 */
export function composeMove(
  request: MoveRequest,
  local: ReadonlyMap<number, MemorySpan>,
  remote: ReadonlyMap<number, RemoteRegion>,
): ComposedMove {
  checkMove(request, local)
  const { plan, direction } = request
  const reading = direction === "read"
  const localAddress = new Float64Array(plan.pieces)
  const remoteAddress = new Float64Array(plan.pieces)
  const localRegion = reading ? plan.targetRegion : plan.sourceRegion
  const localOffset = reading ? plan.targetOffset : plan.sourceOffset
  const remoteRegion = reading ? plan.sourceRegion : plan.targetRegion
  const remoteOffset = reading ? plan.sourceOffset : plan.targetOffset
  const localBases = new Bases((region) => local.get(region)!)
  const remoteBases = new Bases((region) => mappingFor(remote.get(region)!, direction))
  for (let i = 0; i < plan.pieces; i++) {
    localBases.enter(localRegion[i]!)
    localAddress[i] = localBases.base + localOffset[i]!
    remoteBases.enter(remoteRegion[i]!)
    // The descriptor's length was the caller's word; this is the mapping's.
    if (!inside(remoteOffset[i]!, plan.length[i]!, remoteBases.byteLength)) {
      throw new KvError("KV_REGION_BOUNDS", {
        what: `piece ${i} names ${plan.length[i]} bytes at offset ${remoteOffset[i]} of the peer's region ${remoteRegion[i]}`,
        why: `that region has ${remoteBases.byteLength} bytes`,
        next: "check that the plan was made for these two layouts",
      })
    }
    remoteAddress[i] = remoteBases.base + remoteOffset[i]!
  }
  const hashed = request.hashes === undefined ? undefined : placeUnits(request.hashes, plan, local)
  const runs: CopyRuns = {
    count: plan.pieces,
    bytes: plan.bytes,
    sourceAddress: reading ? remoteAddress : localAddress,
    targetAddress: reading ? localAddress : remoteAddress,
    length: plan.length,
    ...(hashed === undefined ? {} : { hashes: hashed.hashes }),
  }
  return { runs, unitOf: hashed?.unitOf }
}

function mappingFor(region: RemoteRegion, direction: MoveRequest["direction"]): MemorySpan {
  const mapping = region[direction]
  if (mapping !== undefined) return mapping
  throw new KvError("KV_PEER_UNTRUSTED", {
    what: `the peer did not grant a ${direction} of region ${region.region}`,
    why: "it offers that region for the other direction only",
  })
}

/** Base addresses of regions; pieces of one region mostly come one after the other. */
class Bases {
  base = 0
  byteLength = 0
  readonly #spanOf: (region: number) => MemorySpan
  #region = -1

  constructor(spanOf: (region: number) => MemorySpan) {
    this.#spanOf = spanOf
  }

  enter(region: number): void {
    if (region === this.#region) return
    const span = this.#spanOf(region)
    this.base = span.addressOf(0, span.byteLength)
    this.byteLength = span.byteLength
    this.#region = region
  }
}

/** Finds the run that each unit lies in, and puts the units into the crew's order: by run, then by place. */
function placeUnits(
  units: HashUnits,
  plan: TransferPlan,
  local: ReadonlyMap<number, MemorySpan>,
): { readonly hashes: CopyHashes; readonly unitOf: Uint32Array | undefined } {
  const { count } = units
  const finder = new RunFinder(plan)
  const runOf = new Uint32Array(count)
  let ordered = true
  for (let i = 0; i < count; i++) {
    const run = finder.find(units.region[i]!, units.offset[i]!, units.length[i]!)
    if (run === undefined) throw badUnit(units, i, "it does not lie in one piece of the plan")
    runOf[i] = run
    if (i > 0 && !comesAfter(units, runOf, i, i - 1)) ordered = false
  }
  const unitOf = ordered
    ? undefined
    : Uint32Array.from(runOf.keys()).sort(
        (a, b) => runOf[a]! - runOf[b]! || units.offset[a]! - units.offset[b]!,
      )
  const spans: MemorySpan[] = []
  const spanIndex = new Map<number, number>()
  const hashes = {
    count,
    run: new Uint32Array(count),
    spans,
    span: new Uint32Array(count),
    offset: new Float64Array(count),
    length: new Uint32Array(count),
    seed: new BigUint64Array(count),
  }
  for (let at = 0; at < count; at++) {
    const i = unitOf?.[at] ?? at
    if (at > 0 && !comesAfter(units, runOf, i, unitOf?.[at - 1] ?? at - 1)) {
      throw badUnit(units, i, "it overlaps another unit")
    }
    const region = units.region[i]!
    let span = spanIndex.get(region)
    if (span === undefined) {
      span = spans.push(local.get(region)!) - 1
      spanIndex.set(region, span)
    }
    hashes.run[at] = runOf[i]!
    hashes.span[at] = span
    hashes.offset[at] = units.offset[i]!
    hashes.length[at] = units.length[i]!
    hashes.seed[at] = units.seed[i]!
  }
  return { hashes, unitOf }
}

/** True when unit `i` begins where `before` ends, or later, or lies in a later run. */
function comesAfter(units: HashUnits, runOf: Uint32Array, i: number, before: number): boolean {
  if (runOf[i] !== runOf[before]) return runOf[i]! > runOf[before]!
  return units.offset[i]! >= units.offset[before]! + units.length[before]!
}

function badUnit(units: HashUnits, i: number, why: string): KvError {
  return new KvError("KV_REGION_BOUNDS", {
    what: `hash unit ${i} names ${units.length[i]} bytes at offset ${units.offset[i]} of region ${units.region[i]}`,
    why,
    next: "hash what the plan fills, each unit inside one piece",
  })
}

/** Says in which run of a plan's target a place lies. Units mostly come in the order of the runs. */
class RunFinder {
  readonly #plan: TransferPlan
  #last = 0
  #sorted: Uint32Array | undefined

  constructor(plan: TransferPlan) {
    this.#plan = plan
  }

  find(region: number, offset: number, length: number): number | undefined {
    if (!Number.isSafeInteger(offset) || length < 1) return undefined
    for (const run of [this.#last, this.#last + 1]) {
      if (run < this.#plan.pieces && this.#holds(run, region, offset, length)) {
        this.#last = run
        return run
      }
    }
    const run = this.#search(region, offset)
    if (run === undefined || !this.#holds(run, region, offset, length)) return undefined
    this.#last = run
    return run
  }

  #holds(run: number, region: number, offset: number, length: number): boolean {
    const start = this.#plan.targetOffset[run]!
    return (
      this.#plan.targetRegion[run] === region &&
      offset >= start &&
      offset + length <= start + this.#plan.length[run]!
    )
  }

  /** The last run that begins at or before the place. */
  #search(region: number, offset: number): number | undefined {
    const { pieces, targetRegion, targetOffset } = this.#plan
    const order = (a: number, b: number): number =>
      targetRegion[a]! - targetRegion[b]! || targetOffset[a]! - targetOffset[b]!
    this.#sorted ??= Uint32Array.from({ length: pieces }, (_, i) => i).sort(order)
    let [low, high] = [0, pieces]
    while (low < high) {
      const middle = (low + high) >>> 1
      const run = this.#sorted[middle]!
      const after = targetRegion[run] === region ? targetOffset[run]! > offset : targetRegion[run]! > region
      if (after) high = middle
      else low = middle + 1
    }
    return low === 0 ? undefined : this.#sorted[low - 1]
  }
}
