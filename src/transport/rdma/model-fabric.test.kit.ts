import assert from "node:assert/strict"
import fc from "fast-check"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import type { MoveRequest, RegionDescriptor } from "../transport.ts"
import type { Lane } from "./lane.ts"
import type { CutOptions, Units } from "./units.ts"

/** A region of a model: nothing but numbers. */
export interface ModelRegion {
  readonly region: number
  readonly length: number
  /** Where it starts in its owner's address space. */
  readonly base: number
}

/** A move between two sides that exist on paper, and all that is needed to carry it out there. */
export interface ModelMove {
  readonly request: MoveRequest
  readonly options: CutOptions
  readonly local: readonly ModelRegion[]
  readonly remote: readonly ModelRegion[]
  readonly localRails: number
  readonly remoteRails: number
}

/** Keys as a careless owner might hand them out: rail by rail and part by part, from 0. */
export function keyOf(region: number, part: number, rail: number): number {
  return region * 1000 + part * 10 + rail
}

/** A span at an address that nobody may look at. */
function paperSpan({ base, length }: ModelRegion): MemorySpan {
  const addressOf = (offset: number, size: number): number => {
    assert.ok(offset >= 0 && offset + size <= length, "an address is made inside the span")
    return base + offset
  }
  const nothing = (): never => assert.fail("memory on paper has no bytes")
  return { byteLength: length, addressOf, view: nothing, share: nothing }
}

const shape = fc.record({
  direction: fc.constantFrom("read" as const, "write" as const),
  localRails: fc.integer({ min: 1, max: 4 }),
  remoteRails: fc.integer({ min: 1, max: 4 }),
  sliceBytes: fc.integer({ min: 1, max: 40 }),
  localPartBytes: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 7, max: 60 })),
  remotePartBytes: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 7, max: 60 })),
  iova: fc.constantFrom(0, 0x7f00_0000_0000),
  lanes: fc.array(
    fc.record({ local: fc.nat(3), remote: fc.nat(3), weight: fc.integer({ min: 1, max: 5 }) }),
    {
      minLength: 1,
      maxLength: 6,
    },
  ),
  pieces: fc.array(
    fc.record({
      localRegion: fc.nat(1),
      remoteRegion: fc.nat(1),
      gap: fc.nat(9),
      length: fc.integer({ min: 1, max: 90 }),
      rail: fc.nat(5),
      back: fc.boolean(),
    }),
    { maxLength: 30 },
  ),
})

type ModelShape = typeof shape extends fc.Arbitrary<infer Given> ? Given : never

/** Any move: pieces in any order, regions in parts, unequal rails, lanes between any of them. */
export const modelMoves: fc.Arbitrary<ModelMove> = shape.map((given) => modelMove(given))

/** Regions large enough for the pieces, descriptors with their keys, and a plan. */
export function modelMove(given: ModelShape): ModelMove {
  const lanes: Lane[] = given.lanes
    .map(({ local, remote, weight }) => ({
      localRail: local % given.localRails,
      remoteRail: remote % given.remoteRails,
      weight,
    }))
    .sort((a, b) => a.localRail - b.localRail)
  const ends = { local: [0, 0], remote: [0, 0] }
  const placed = given.pieces.map((piece) => {
    ends.local[piece.localRegion]! += piece.gap
    ends.remote[piece.remoteRegion]! += piece.gap
    const at = { local: ends.local[piece.localRegion]!, remote: ends.remote[piece.remoteRegion]! }
    ends.local[piece.localRegion]! += piece.length
    ends.remote[piece.remoteRegion]! += piece.length
    return { ...piece, at }
  })
  const local = ends.local.map((end, region) => ({ region, length: end + 3, base: 0x10_0000 * (region + 1) }))
  const remote = ends.remote.map((end, region) => ({
    region: 5 + region,
    length: end + 3,
    base: given.iova + 0x900_0000 * (region + 1),
  }))
  const builder = new PlanBuilder(placed.length)
  const reading = given.direction === "read"
  for (const { localRegion, remoteRegion, at, length, rail } of placed.toSorted(
    (a, b) => +a.back - +b.back,
  )) {
    const [near, far] = [
      [localRegion, at.local],
      [5 + remoteRegion, at.remote],
    ] as const
    const [source, target] = reading ? [far, near] : [near, far]
    builder.add(source[0], source[1], target[0], target[1], length, rail)
  }
  const descriptors = remote.map(({ region, length, base }): RegionDescriptor => {
    const parts = Math.max(1, Math.ceil(length / given.remotePartBytes))
    const rkeys = Array.from({ length: given.remoteRails * parts }, (_, at) =>
      keyOf(region, at % parts, Math.floor(at / parts)),
    )
    return { region, length, rkeys, iova: base }
  })
  return {
    request: { direction: given.direction, plan: builder.finish(), remote: descriptors },
    options: {
      spans: new Map(local.map((region) => [region.region, paperSpan(region)])),
      sliceBytes: given.sliceBytes,
      localPartBytes: given.localPartBytes,
      remotePartBytes: given.remotePartBytes,
      lanes,
    },
    local,
    remote,
    localRails: given.localRails,
    remoteRails: given.remoteRails,
  }
}

/** One request as a NIC would get it. */
export interface ModelRequest {
  readonly lane: Lane
  readonly localAddress: number
  readonly localKey: number
  readonly remoteAddress: number
  readonly remoteKey: number
  readonly length: number
}

/** Two sides' memory as the NICs see it: a key opens one part of one region on one rail, and bytes say where they come from. */
export class ModelFabric {
  /** For each byte that was written, "side:region:offset" of its source. */
  readonly written = new Map<string, string>()
  readonly #move: ModelMove

  constructor(move: ModelMove) {
    this.#move = move
  }

  /** Carries a request out, or throws what a NIC would complete it with. */
  carryOut(request: ModelRequest): void {
    const { options, local, remote } = this.#move
    const { lane, length } = request
    const near = open(
      local,
      request.localAddress,
      length,
      request.localKey,
      lane.localRail,
      options.localPartBytes,
    )
    const far = open(
      remote,
      request.remoteAddress,
      length,
      request.remoteKey,
      lane.remoteRail,
      options.remotePartBytes,
    )
    const [source, target] = this.#move.request.direction === "read" ? [far, near] : [near, far]
    for (let i = 0; i < length; i++) {
      this.written.set(`${target.region}:${target.offset + i}`, `${source.region}:${source.offset + i}`)
    }
  }
}

function open(
  regions: readonly ModelRegion[],
  address: number,
  length: number,
  key: number,
  rail: number,
  partBytes: number,
): { region: number; offset: number } {
  for (const { region, base, length: size } of regions) {
    const offset = address - base
    if (offset < 0 || offset >= size) continue
    const part = Math.floor(offset / partBytes)
    assert.equal(key, keyOf(region, part, rail), `the key of region ${region}, part ${part}, rail ${rail}`)
    assert.ok(
      offset + length <= Math.min(size, (part + 1) * partBytes),
      "a request stays inside one registration",
    )
    return { region, offset }
  }
  return assert.fail(`address ${address} is in no region`)
}

/** What a plan asks for: for each target byte its source byte. */
export function asked(plan: TransferPlan): Map<string, string> {
  const bytes = new Map<string, string>()
  for (let i = 0; i < plan.pieces; i++) {
    for (let b = 0; b < plan.length[i]!; b++) {
      bytes.set(
        `${plan.targetRegion[i]}:${plan.targetOffset[i]! + b}`,
        `${plan.sourceRegion[i]}:${plan.sourceOffset[i]! + b}`,
      )
    }
  }
  return bytes
}

/** The requests of all units, as the lanes of their shares would post them. */
export function* homeRequests(
  units: Units,
  lanes: readonly Lane[],
  keys: (lane: Lane) => { local: ArrayLike<number>; remote: ArrayLike<number> },
): Generator<ModelRequest> {
  for (const [at, lane] of lanes.entries()) {
    const { start, end } = units.shares[at]!
    const { local, remote } = keys(lane)
    for (let unit = start; unit < end; unit++) {
      yield {
        lane,
        localAddress: units.localAddress[unit]!,
        localKey: local[units.localKey[unit]!]!,
        remoteAddress: units.remoteAddress[unit]!,
        remoteKey: remote[units.remoteKey[unit]!]!,
        length: units.length[unit]!,
      }
    }
  }
}
