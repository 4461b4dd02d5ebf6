import { assert } from "../../errors/assert.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type { MoveRequest } from "../transport.ts"
import type { Share } from "./deal.ts"
import { homesOf } from "./homes.ts"
import type { Lane } from "./lane.ts"

/** How a move is cut. Lengths in bytes; a part is what one registration of a region covers. */
export interface CutOptions {
  /** Our regions, by what the fabric calls their bytes in our own requests. */
  readonly spans: ReadonlyMap<number, Pick<MemorySpan, "addressOf">>
  readonly sliceBytes: number
  /** `Infinity` where a region is registered whole. */
  readonly localPartBytes: number
  readonly remotePartBytes: number
  /** The lanes of the connection, those of one local rail side by side, rails ascending. */
  readonly lanes: readonly Lane[]
}

/** One registration of a region, as a row of a key table. */
export interface RegionPart {
  readonly region: number
  readonly part: number
}

/**
 * N requests of a move: each moves `length` bytes inside one part of a region on either side.
 *
 * The columns lie in memory that threads share. A key is named by its row: which key that is depends on the lane (`keys.ts`).
 */
export interface Units {
  readonly count: number
  readonly bytes: number
  readonly localAddress: Float64Array<SharedArrayBuffer>
  /** As the peer's fabric counts: its region's iova and the offset. */
  readonly remoteAddress: Float64Array<SharedArrayBuffer>
  readonly length: Uint32Array<SharedArrayBuffer>
  readonly localKey: Uint32Array<SharedArrayBuffer>
  readonly remoteKey: Uint32Array<SharedArrayBuffer>
  readonly localRows: readonly RegionPart[]
  readonly remoteRows: readonly RegionPart[]
  /** The run of units of each lane, side by side in the order of the lanes. */
  readonly shares: readonly Share[]
}

/**
 * Cuts the pieces of a checked move into requests, and sorts them by the lane that is to carry them.
 *
 * A piece goes to the lanes of its plan's rail, by their weights; one whose rail has no lane goes to another's.
 */
export function cutUnits(request: MoveRequest, options: CutOptions): Units {
  const { plan } = request
  const { lanes, spans, sliceBytes, localPartBytes, remotePartBytes } = options
  assert(sliceBytes >= 1 && localPartBytes >= 1 && remotePartBytes >= 1, "a slice and a part have a byte")
  const reading = request.direction === "read"
  const localRegion = reading ? plan.targetRegion : plan.sourceRegion
  const localOffset = reading ? plan.targetOffset : plan.sourceOffset
  const remoteRegion = reading ? plan.sourceRegion : plan.targetRegion
  const remoteOffset = reading ? plan.sourceOffset : plan.targetOffset
  const cut = (piece: number, done: number): number =>
    Math.min(
      sliceBytes,
      plan.length[piece]! - done,
      localPartBytes - ((localOffset[piece]! + done) % localPartBytes),
      remotePartBytes - ((remoteOffset[piece]! + done) % remotePartBytes),
    )
  const homes = homesOf(lanes)
  const next = new Array<number>(homes.rails.length).fill(0)
  for (let piece = 0; piece < plan.pieces; piece++) {
    const home = homes.ofRail(plan.rail[piece]!)
    for (let done = 0; done < plan.length[piece]!; done += cut(piece, done)) next[home]! += 1
  }
  let count = 0
  for (let home = 0; home < next.length; home++) {
    const units = next[home]!
    next[home] = count
    count += units
  }
  const columns = emptyColumns(count)
  const iovas = new Map(request.remote.map(({ region, iova }) => [region, iova]))
  const local = new Rows(localPartBytes)
  const remote = new Rows(remotePartBytes)
  for (let piece = 0; piece < plan.pieces; piece++) {
    const home = homes.ofRail(plan.rail[piece]!)
    const address = spans.get(localRegion[piece]!)!.addressOf(localOffset[piece]!, plan.length[piece]!)
    const remoteStart = iovas.get(remoteRegion[piece]!)! + remoteOffset[piece]!
    let at = next[home]!
    for (let done = 0; done < plan.length[piece]!; ) {
      const length = cut(piece, done)
      columns.localAddress[at] = address + done
      columns.remoteAddress[at] = remoteStart + done
      columns.length[at] = length
      columns.localKey[at] = local.rowOf(localRegion[piece]!, localOffset[piece]! + done)
      columns.remoteKey[at] = remote.rowOf(remoteRegion[piece]!, remoteOffset[piece]! + done)
      done += length
      at += 1
    }
    next[home] = at
  }
  return {
    count,
    bytes: plan.bytes,
    ...columns,
    localRows: local.rows,
    remoteRows: remote.rows,
    shares: homes.shares(next, columns.length),
  }
}

/** The parts of regions that a move touches, numbered as they are met. */
class Rows {
  readonly rows: RegionPart[] = []
  readonly #partBytes: number
  readonly #byRegion = new Map<number, Map<number, number>>()
  #region = -1
  #part = -1
  #row = -1

  constructor(partBytes: number) {
    this.#partBytes = partBytes
  }

  rowOf(region: number, offset: number): number {
    const part = Math.floor(offset / this.#partBytes)
    if (region === this.#region && part === this.#part) return this.#row
    let parts = this.#byRegion.get(region)
    if (parts === undefined) {
      parts = new Map()
      this.#byRegion.set(region, parts)
    }
    let row = parts.get(part)
    if (row === undefined) {
      row = this.rows.length
      parts.set(part, row)
      this.rows.push({ region, part })
    }
    this.#region = region
    this.#part = part
    this.#row = row
    return row
  }
}

function emptyColumns(
  count: number,
): Pick<Units, "localAddress" | "remoteAddress" | "length" | "localKey" | "remoteKey"> {
  const buffer = new SharedArrayBuffer(count * 28)
  return {
    localAddress: new Float64Array(buffer, 0, count),
    remoteAddress: new Float64Array(buffer, count * 8, count),
    length: new Uint32Array(buffer, count * 16, count),
    localKey: new Uint32Array(buffer, count * 20, count),
    remoteKey: new Uint32Array(buffer, count * 24, count),
  }
}
