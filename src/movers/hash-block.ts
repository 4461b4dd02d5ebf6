import { type KvLayout, kvStrides } from "../kv/kv-layout.ts"
import type { ArenaViews } from "../os/shared-arena.ts"
import { fingerprintUnits, type StoredSequence } from "../verify/fingerprint.ts"
import type { SpanCache } from "./span-cache.ts"

/** Bytes of cache after which a chunk of units is full. */
const chunkBytes = 2 ** 20
const headerWords = 16
const orders = ["head-major", "token-major"] as const

/** Where the parts of a block start, in bytes from the arena's start. */
interface HashPlaces {
  /** For each layer: address and length of its region (f64). */
  readonly spans: number
  readonly hashes: number
  readonly blocks: number
  readonly units: number
  readonly end: number
}

function hashPlaces(block: number, layers: number, blocks: number, units: number): HashPlaces {
  const spans = block + headerWords * 4
  const hashes = spans + layers * 16
  const atBlocks = hashes + units * 8
  const atUnits = atBlocks + blocks * 4
  return { spans, hashes, blocks: atBlocks, units: atUnits, end: atUnits + units * 4 }
}

/** How many bytes of an arena the block of such a job needs. */
export const hashBlockBytes = (sequence: StoredSequence, units: number): number =>
  hashPlaces(0, sequence.layout.shape.layers, sequence.blocks.length, units).end

/** Writes the block of a hashing job: a sequence, and which of its units are wanted. Returns the number of its chunks. */
export function writeHashBlock(
  { u32, f64 }: ArenaViews,
  block: number,
  sequence: StoredSequence,
  unitTokens: number,
  units: Uint32Array,
): number {
  const { layout, spans, blocks, tokens } = sequence
  const { shape } = layout
  const chunkUnits = chunkUnitsOf(layout, unitTokens)
  const header = [
    shape.layers,
    shape.kvHeads,
    shape.headDim,
    shape.elementBytes,
    orders.indexOf(layout.order),
  ]
  header.push(layout.blockTokens, layout.blocks, layout.firstHead, layout.heads)
  header.push(tokens, unitTokens, blocks.length, units.length, chunkUnits)
  u32.set(header, block / 4)
  const places = hashPlaces(block, shape.layers, blocks.length, units.length)
  for (const [layer, span] of spans.entries()) {
    const { address, byteLength } = span.share()
    f64[places.spans / 8 + layer * 2] = address
    f64[places.spans / 8 + layer * 2 + 1] = byteLength
  }
  u32.set(blocks, places.blocks / 4)
  u32.set(units, places.units / 4)
  return Math.ceil(units.length / chunkUnits)
}

/** The bytes of one unit: what it costs to hash it. */
export function unitBytes(layout: KvLayout, unitTokens: number): number {
  return (kvStrides(layout).block / layout.blockTokens) * unitTokens
}

const chunkUnitsOf = (layout: KvLayout, unitTokens: number): number =>
  Math.max(1, Math.floor(chunkBytes / unitBytes(layout, unitTokens)))

/** A hashing job as a thread carries it out: a block of an arena, written by `writeHashBlock`. */
export class HashBlock {
  readonly #views: ArenaViews
  readonly #places: HashPlaces
  readonly #sequence: StoredSequence
  readonly #unitTokens: number
  readonly #units: Uint32Array
  readonly #chunkUnits: number

  constructor(views: ArenaViews, block: number, cache: SpanCache) {
    const { u32, f64 } = views
    const field = (i: number): number => u32[block / 4 + i]!
    const [layers, blocks, units] = [field(0), field(11), field(12)]
    const places = hashPlaces(block, layers, blocks, units)
    this.#views = views
    this.#places = places
    this.#unitTokens = field(10)
    this.#chunkUnits = field(13)
    this.#units = u32.subarray(places.units / 4, places.units / 4 + units)
    this.#sequence = {
      layout: {
        shape: { layers, kvHeads: field(1), headDim: field(2), elementBytes: field(3) },
        order: orders[field(4)]!,
        blockTokens: field(5),
        blocks: field(6),
        firstHead: field(7),
        heads: field(8),
      },
      tokens: field(9),
      blocks: u32.subarray(places.blocks / 4, places.blocks / 4 + blocks),
      spans: Array.from({ length: layers }, (_, layer) => {
        const at = places.spans / 8 + layer * 2
        return cache.at(f64[at]!, f64[at + 1]!).span
      }),
    }
  }

  /** Hashes the units of one chunk. */
  run(chunk: number): void {
    const first = chunk * this.#chunkUnits
    const units = this.#units.subarray(first, first + this.#chunkUnits)
    const hashes = fingerprintUnits(this.#sequence, this.#unitTokens, units)
    this.#views.u64.set(hashes, this.#places.hashes / 8 + first)
  }

  /** The hashes, as memory of their own. */
  hashes(): BigUint64Array {
    const at = this.#places.hashes / 8
    return this.#views.u64.slice(at, at + this.#units.length)
  }
}
