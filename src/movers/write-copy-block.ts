import { assert } from "../errors/assert.ts"
import type { MemorySpan } from "../memory/host-memory.ts"
import { entryLengthMax, lengthenEntry, writeEntry } from "../os/copy-lists.ts"
import type { ArenaViews } from "../os/shared-arena.ts"
import {
  type CopyPlaces,
  type CopyRooms,
  chunkRecordBytes,
  copyPlaces,
  unitRecordBytes,
  writeCopyHeader,
} from "./copy-block.ts"
import type { CopyHashes, CopyRuns } from "./crew.ts"

/** Bytes after which a chunk is full. A thread takes a whole chunk, and hashes it before it takes the next. */
const chunkBytesMax = 2 ** 20
/** The same where units are hashed: a chunk of source and target, and what hashing needs, stays in a core's own cache. */
const hashedChunkBytesMax = 128 * 1024
/** Pieces after which a chunk is full: what one call between processes takes. */
const chunkEntriesMax = 1024

/** How many bytes of an arena the block of a copy needs. */
export function copyBlockBytes(runs: CopyRuns, threads: number): number {
  return copyPlaces(0, roomsFor(runs, threads)).end
}

/** Writes the block of a copy at byte `block` of an arena. Returns the number of its chunks. */
export function writeCopyBlock(views: ArenaViews, block: number, runs: CopyRuns, threads: number): number {
  const rooms = roomsFor(runs, threads)
  const places = copyPlaces(block, rooms)
  writeCopyHeader(views, block, rooms, runs.remote)
  const starts = writeSpans(views, places, runs.spans ?? [])
  const units = runs.hashes === undefined ? undefined : new Units(views, places, runs.hashes, starts)
  const cutter = new Cutter(views, places, units, chunkBytesOf(runs))
  let unit = 0
  for (let run = 0; run < runs.count; run++) {
    const source = runs.sourceAddress[run]!
    const target = runs.targetAddress[run]!
    const length = runs.length[run]!
    assert(source > 0 && target > 0 && length > 0, "a run has two addresses and a length")
    const end = units === undefined ? 0 : units.endOfRun(run, unit, target, length)
    cutter.add(source, target, length, unit, end)
    unit = end
  }
  assert(unit === rooms.units, "each unit names a run, in ascending order")
  cutter.finish(unit)
  assert(cutter.entries <= rooms.entries && cutter.chunks <= rooms.chunks, "the rooms of a block suffice")
  return cutter.chunks
}

const chunkBytesOf = (runs: CopyRuns): number =>
  (runs.hashes?.count ?? 0) > 0 ? hashedChunkBytesMax : chunkBytesMax

/** The most that the parts of a copy can need, known without cutting it. */
function roomsFor(runs: CopyRuns, threads: number): CopyRooms {
  const chunkBytes = chunkBytesOf(runs)
  let bytes = 0
  let cuts = 0
  for (let i = 0; i < runs.count; i++) {
    const length = runs.length[i]!
    bytes += length
    // A cut moves back only where it would separate a unit, so two neighbouring chunks are longer than one.
    if (length > chunkBytes) cuts += 2 * Math.ceil(length / chunkBytes) + 2
  }
  assert(bytes === runs.bytes, "the lengths of a copy sum up to its bytes")
  return {
    entries: runs.count + cuts,
    chunks: cuts + 2 * Math.ceil(bytes / chunkBytes) + Math.ceil(runs.count / chunkEntriesMax) + 1,
    units: runs.hashes?.count ?? 0,
    spans: runs.spans?.length ?? 0,
    threads,
  }
}

/** Writes where the spans of a copy lie. Returns their starts. */
function writeSpans({ f64 }: ArenaViews, places: CopyPlaces, spans: readonly MemorySpan[]): number[] {
  return spans.map((span, i) => {
    const start = span.addressOf(0, span.byteLength)
    f64[places.spans / 8 + i * 2] = start
    f64[places.spans / 8 + i * 2 + 1] = span.byteLength
    return start
  })
}

/** The units of a copy: written into its block, and where they lie in the target. */
class Units {
  readonly #hashes: CopyHashes
  readonly #start: Float64Array

  constructor(
    { u32, f64, u64 }: ArenaViews,
    places: CopyPlaces,
    hashes: CopyHashes,
    starts: readonly number[],
  ) {
    this.#hashes = hashes
    this.#start = new Float64Array(hashes.count)
    for (let unit = 0; unit < hashes.count; unit++) {
      const at = places.units + unit * unitRecordBytes
      f64[at / 8] = hashes.offset[unit]!
      u64[at / 8 + 1] = hashes.seed[unit]!
      u32[at / 4 + 4] = hashes.span[unit]!
      u32[at / 4 + 5] = hashes.length[unit]!
      this.#start[unit] = starts[hashes.span[unit]!]! + hashes.offset[unit]!
    }
  }

  /** The first unit from `unit` on that belongs to a later run, after checking those before it. */
  endOfRun(run: number, unit: number, target: number, length: number): number {
    let before = target
    let at = unit
    for (; at < this.#hashes.count && this.#hashes.run[at] === run; at++) {
      assert(
        this.start(at) >= before && this.end(at) <= target + length,
        "units lie inside their run, one behind the other",
      )
      before = this.end(at)
    }
    return at
  }

  start(unit: number): number {
    return this.#start[unit]!
  }

  end(unit: number): number {
    return this.#start[unit]! + this.#hashes.length[unit]!
  }
}

/** Deals runs into chunks of about equal work; no edge of a chunk separates a unit. */
class Cutter {
  readonly #views: ArenaViews
  readonly #places: CopyPlaces
  readonly #units: Units | undefined
  readonly #chunkBytes: number
  /** Entries and chunks written; the last chunk is open. */
  entries = 0
  chunks = 0
  #bytes = 0
  #firstEntry = 0
  #sourceEnd = -1
  #targetEnd = -1

  constructor(views: ArenaViews, places: CopyPlaces, units: Units | undefined, chunkBytes: number) {
    this.#views = views
    this.#places = places
    this.#units = units
    this.#chunkBytes = chunkBytes
    this.#open(0)
  }

  /** Adds a run whose units are `[unit, endUnit)`. */
  add(source: number, target: number, length: number, unit: number, endUnit: number): void {
    const full = this.entries - this.#firstEntry >= chunkEntriesMax
    if (full || this.#bytes + length > this.#chunkBytes) this.#close(unit)
    if (length <= this.#chunkBytes) return this.#append(source, target, length)
    for (let done = 0, next = unit; done < length; ) {
      const from = target + done
      let end = Math.min(target + length, from + this.#chunkBytes)
      while (next < endUnit && this.#units!.end(next) <= end) next += 1
      if (next < endUnit && this.#units!.start(next) < end) {
        if (this.#units!.start(next) > from) end = this.#units!.start(next)
        else end = this.#units!.end(next++)
      }
      for (; done < end - target; ) {
        const part = Math.min(entryLengthMax, end - target - done)
        this.#append(source + done, target + done, part)
        done += part
      }
      this.#close(next)
    }
  }

  finish(unit: number): void {
    if (this.#bytes > 0) this.#close(unit)
    this.chunks -= 1
  }

  #append(source: number, target: number, length: number): void {
    const { u32 } = this.#views
    const { lists } = this.#places
    this.#bytes += length
    const follows =
      source === this.#sourceEnd && target === this.#targetEnd && this.entries > this.#firstEntry
    if (!follows || !lengthenEntry(u32, lists, this.entries - 1, length)) {
      writeEntry(u32, lists, this.entries, source, target, length)
      this.entries += 1
    }
    this.#sourceEnd = source + length
    this.#targetEnd = target + length
  }

  #open(unit: number): void {
    const record = (this.#places.chunks + this.chunks * chunkRecordBytes) / 4
    this.#views.u32[record] = this.entries
    this.#views.u32[record + 1] = unit
    this.chunks += 1
    this.#bytes = 0
    this.#firstEntry = this.entries
  }

  /** Ends the open chunk, if it has anything, before `unit`. */
  #close(unit: number): void {
    if (this.#bytes === 0) return
    this.#views.u32[(this.#places.chunks + (this.chunks - 1) * chunkRecordBytes) / 4 + 2] = this.#bytes
    this.#open(unit)
  }
}
