import { xxh64 } from "@node-rs/xxhash"
import {
  type CopyLists,
  copyEntries,
  copyRemoteEntries,
  type FailedEntry,
  listEntryBytes,
  type RemoteSide,
} from "../os/copy-lists.ts"
import type { ArenaViews } from "../os/shared-arena.ts"
import type { CachedSpan, SpanCache } from "./span-cache.ts"

/** How many of each the parts of a block have room for. */
export interface CopyRooms {
  readonly entries: number
  readonly chunks: number
  readonly units: number
  readonly spans: number
  readonly threads: number
}

/** Where the parts of a block start, in bytes from the arena's start; the lists in words. */
export interface CopyPlaces {
  readonly lists: CopyLists
  /** For each chunk, and once more behind the last: its first entry, its first unit, its bytes. */
  readonly chunks: number
  /** For each unit: offset (f64), seed (u64), span (u32), length (u32). */
  readonly units: number
  readonly hashes: number
  /** For each span: address and length (f64). */
  readonly spans: number
  /** For the calling thread and each one of the crew (f64). */
  readonly bytesByThread: number
  readonly end: number
}

/** Up to this length on average, entries are copied through views: it gains a tenth at 4 KiB, 2 % at 64 KiB. */
const viewedEntryBytesMax = 32 * 1024

const headerBytes = 64
export const chunkRecordBytes = 16
export const unitRecordBytes = 24
const sides = [undefined, "source", "target"] as const

/**
 * Lays out the block of a copy that starts at byte `block`; every part is 8-byte aligned.
 *
 *     header | source iovecs | target iovecs | chunks + 1 | units | hashes | spans | bytes by thread
 */
export function copyPlaces(block: number, rooms: CopyRooms): CopyPlaces {
  const source = block + headerBytes
  const target = source + rooms.entries * listEntryBytes
  const chunks = target + rooms.entries * listEntryBytes
  const units = chunks + (rooms.chunks + 1) * chunkRecordBytes
  const hashes = units + rooms.units * unitRecordBytes
  const spans = hashes + rooms.units * 8
  const bytesByThread = spans + rooms.spans * 16
  const end = bytesByThread + (rooms.threads + 1) * 8
  return {
    lists: { source: source / 4, target: target / 4 },
    chunks,
    units,
    hashes,
    spans,
    bytesByThread,
    end,
  }
}

/** Writes what a reader of the block must know before all else. */
export function writeCopyHeader(
  { u32 }: ArenaViews,
  block: number,
  rooms: CopyRooms,
  remote: RemoteSide | undefined,
): void {
  const side = sides.indexOf(remote?.side)
  u32.set(
    [rooms.entries, rooms.chunks, rooms.units, rooms.spans, rooms.threads, side, remote?.pid ?? 0],
    block / 4,
  )
}

/** A copy as a thread carries it out: a block of an arena, written by `writeCopyBlock`. */
export class CopyBlock {
  readonly #views: ArenaViews
  readonly #places: CopyPlaces
  readonly #rooms: CopyRooms
  readonly #remote: RemoteSide | undefined
  #looked: readonly CachedSpan[] | undefined

  constructor(views: ArenaViews, block: number) {
    const field = (i: number): number => views.u32[block / 4 + i]!
    const [entries, chunks, units, spans, threads] = [field(0), field(1), field(2), field(3), field(4)]
    const name = sides[field(5)]
    this.#views = views
    this.#rooms = { entries, chunks, units, spans, threads }
    this.#places = copyPlaces(block, this.#rooms)
    this.#remote = name === undefined ? undefined : { pid: field(6), side: name }
  }

  /** Copies a chunk and hashes its units. Returns true, false when `stopped` said so on the way, or what failed. */
  run(chunk: number, thread: number, cache: SpanCache, stopped: () => boolean): boolean | FailedEntry {
    const { u32, f64 } = this.#views
    const { lists, chunks, bytesByThread } = this.#places
    const record = (chunks + chunk * chunkRecordBytes) / 4
    const next = record + chunkRecordBytes / 4
    const [first, end] = [u32[record]!, u32[next]!]
    const copied =
      this.#remote === undefined
        ? copyEntries(u32, lists, first, end, this.#mappings(record, end - first, cache), stopped)
        : copyRemoteEntries(this.#remote, this.#views, lists, first, end, stopped)
    if (copied !== true) return copied
    for (let unit = u32[record + 1]!; unit < u32[next + 1]!; unit++) this.#hash(unit, cache)
    f64[bytesByThread / 8 + thread]! += u32[record + 2]!
    return true
  }

  /** Forgets what the last post counted. */
  reset(): void {
    const at = this.#places.bytesByThread / 8
    this.#views.f64.fill(0, at, at + this.#rooms.threads + 1)
  }

  bytesByThread(): number[] {
    const at = this.#places.bytesByThread / 8
    return [...this.#views.f64.subarray(at, at + this.#rooms.threads + 1)]
  }

  /** The hashes of the last post, as memory of their own. */
  hashes(): BigUint64Array {
    const at = this.#places.hashes / 8
    return this.#views.u64.slice(at, at + this.#rooms.units)
  }

  #hash(unit: number, cache: SpanCache): void {
    const { u32, f64, u64 } = this.#views
    const at = this.#places.units + unit * unitRecordBytes
    const { span } = this.#span(u32[at / 4 + 4]!, cache)
    const content = span.view(f64[at / 8]!, u32[at / 4 + 5]!)
    u64[this.#places.hashes / 8 + unit] = xxh64(content, u64[at / 8 + 1]!)
  }

  #span(index: number, cache: SpanCache): CachedSpan {
    const at = this.#places.spans / 8 + index * 2
    return cache.at(this.#views.f64[at]!, this.#views.f64[at + 1]!)
  }

  /** The mappings to look through: none where the entries are so long that making views would not pay. */
  #mappings(record: number, entries: number, cache: SpanCache): readonly CachedSpan[] {
    if (this.#views.u32[record + 2]! / entries > viewedEntryBytesMax) return []
    this.#looked ??= Array.from({ length: this.#rooms.spans }, (_, index) => this.#span(index, cache))
    return this.#looked
  }
}
