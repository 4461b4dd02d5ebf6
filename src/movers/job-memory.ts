import { KvError } from "../errors/kv-error.ts"
import type { SharedSpan } from "../memory/host-memory.ts"
import { type ArenaViews, closeArena, mapArena, viewArena } from "../os/shared-arena.ts"
import { segmentsMax } from "./job-ring.ts"

/** Address space that is asked for at one time; pages cost nothing before they are used. */
const segmentBytes = 16 * 2 ** 20
/** The largest single block: a job of about 30 million pieces. */
const blockBytesMax = 2 ** 30
/** All blocks together. */
const arenaBytesMax = 4 * 2 ** 30
const blockBytesMin = 512

/** A block of memory that all threads of the crew can read. */
export interface JobBlock {
  /** Number of its segment: how a thread finds it. */
  readonly segment: number
  /** Byte in the segment at which it starts. */
  readonly block: number
  readonly views: ArenaViews
  readonly byteLength: number
}

interface Segment {
  readonly span: SharedSpan
  readonly views: ArenaViews
  /** Bytes that were ever given out since it was last empty. */
  used: number
  taken: number
  /** Blocks that came back, by their size. */
  readonly free: Map<number, number[]>
}

/**
 * Memory for the jobs of a crew: blocks with sizes of powers of two, out of a few large segments.
 *
 * Segments stay mapped until the crew is closed, so that a thread looks at each through views that it makes once.
 */
export class JobMemory implements Disposable {
  readonly #segments: Segment[] = []
  readonly #onSegment: (segment: number, span: SharedSpan) => void
  #mapped = 0

  /** @param onSegment tells the threads of a new segment, before a block of it is used. */
  constructor(onSegment: (segment: number, span: SharedSpan) => void) {
    this.#onSegment = onSegment
  }

  /** Takes at least `byteLength` bytes, of any content. @throws KvError KV_LIMIT, KV_OS. */
  take(byteLength: number): JobBlock {
    const size = Math.max(blockBytesMin, 2 ** Math.ceil(Math.log2(byteLength)))
    for (const [index, segment] of this.#segments.entries()) {
      const block = segment.free.get(size)?.pop() ?? bump(segment, size)
      if (block !== undefined) return this.#taken(index, block, size)
    }
    const index = this.#map(size)
    return this.#taken(index, bump(this.#segments[index]!, size)!, size)
  }

  /** Takes a block back. */
  give({ segment: index, block, byteLength }: JobBlock): void {
    const segment = this.#segments[index]!
    segment.taken -= 1
    if (segment.taken === 0) {
      // Nothing is left in it: its pieces grow together again.
      segment.used = 0
      segment.free.clear()
      return
    }
    const free = segment.free.get(byteLength)
    if (free === undefined) segment.free.set(byteLength, [block])
    else free.push(block)
  }

  [Symbol.dispose](): void {
    for (const { span } of this.#segments) closeArena(span)
    this.#segments.length = 0
  }

  #taken(index: number, block: number, byteLength: number): JobBlock {
    const segment = this.#segments[index]!
    segment.taken += 1
    return { segment: index, block, views: segment.views, byteLength }
  }

  #map(size: number): number {
    const byteLength = Math.max(segmentBytes, size)
    const index = this.#segments.length
    const room = this.#mapped + byteLength <= arenaBytesMax && index < segmentsMax
    if (size > blockBytesMax || !room) {
      throw new KvError("KV_LIMIT", {
        what: `a prepared job needs ${size} bytes of control memory, and ${this.#mapped} are mapped`,
        why: `one may have ${blockBytesMax}, all together ${arenaBytesMax}`,
        next: "dispose of prepared moves that are over, or move fewer pieces at a time",
      })
    }
    const span = mapArena(byteLength)
    this.#segments.push({ span, views: viewArena(span), used: 0, taken: 0, free: new Map() })
    this.#mapped += byteLength
    this.#onSegment(index, span)
    return index
  }
}

function bump(segment: Segment, size: number): number | undefined {
  if (segment.used + size > segment.span.byteLength) return undefined
  const block = segment.used
  segment.used += size
  return block
}
