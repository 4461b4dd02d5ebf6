import { xxh64 } from "@node-rs/xxhash"
import { blocksFor, type KvLayout, kvStrides } from "../kv/kv-layout.ts"
import { headIsContiguous, planes, rowBytes, rowOffset } from "../kv/kv-rows.ts"
import type { MemorySpan } from "../memory/host-memory.ts"

/** A sequence in a pool, as its bytes. */
export interface StoredSequence {
  readonly layout: KvLayout
  /** `spans[l]` is the region of layer l. */
  readonly spans: readonly MemorySpan[]
  readonly blocks: Uint32Array
  readonly tokens: number
}

/**
 * One hash for each (layer, unit of tokens): `[layers * units]`, layer by layer.
 *
 * A unit is a block of the sequence's own layout, or of the one it is compared with (`unitTokens`). The hash covers the
 * rows of stored tokens only, always in head-major order, so that two layouts of one cache agree; its seed is the
 * place, so that right bytes in a wrong place differ. The function is xxh64: made to notice accidents, not forgery.
 */
export function fingerprintBlocks(
  sequence: StoredSequence,
  unitTokens: number = sequence.layout.blockTokens,
): BigUint64Array {
  return fingerprintUnits(sequence, unitTokens, allUnits(sequence, unitTokens))
}

/** The places of all units of a sequence, as `layer * unitsOfSequence + unit`. */
export function allUnits(sequence: StoredSequence, unitTokens: number): Uint32Array<ArrayBuffer> {
  const count = sequence.layout.shape.layers * blocksFor(sequence.tokens, unitTokens)
  return Uint32Array.from({ length: count }, (_, place) => place)
}

/** The hashes that `fingerprintBlocks` makes, of the units at `places` only, in their order. */
export function fingerprintUnits(
  sequence: StoredSequence,
  unitTokens: number,
  places: Uint32Array,
): BigUint64Array<ArrayBuffer> {
  const units = blocksFor(sequence.tokens, unitTokens)
  const hashes = new BigUint64Array(places.length)
  const scratch = scratchFor(sequence.layout, unitTokens)
  for (let i = 0; i < places.length; i++) {
    const layer = Math.floor(places[i]! / units)
    const unit = places[i]! % units
    const content = unitContent(sequence, layer, unit, unitTokens, scratch)
    hashes[i] = xxh64(content, placeSeed(layer, unit))
  }
  return hashes
}

/** One hash for each head's key and value: `[layers][positions][2 * heads]`, key before value. */
export function fingerprintHeads(sequence: StoredSequence): bigint[][][] {
  const { layout } = sequence
  const scratch = scratchFor(layout, layout.blockTokens)
  const positions = blocksFor(sequence.tokens, layout.blockTokens)
  return Array.from({ length: layout.shape.layers }, (_, layer) =>
    Array.from({ length: positions }, (_unused, position) => {
      const content = unitContent(sequence, layer, position, layout.blockTokens, scratch)
      const headBytes = content.byteLength / (2 * layout.heads)
      return Array.from({ length: 2 * layout.heads }, (_also, i) => {
        const at = ((i % 2) * layout.heads + Math.floor(i / 2)) * headBytes
        return xxh64(content.subarray(at, at + headBytes), placeSeed(layer, position))
      })
    }),
  )
}

/** The hash of other bytes, such as a step's logits. */
export function fingerprintBytes(content: Uint8Array): bigint {
  return xxh64(content, 0n)
}

/** A hash as people and JSON see it: 16 hexadecimal digits. */
export const hashText = (hash: bigint): string => hash.toString(16).padStart(16, "0")

/** The seed of a unit's hash: its place. */
export const placeSeed = (layer: number, position: number): bigint =>
  (BigInt(layer) << 32n) | BigInt(position)

const scratchFor = (layout: KvLayout, unitTokens: number): Uint8Array =>
  new Uint8Array(2 * layout.heads * unitTokens * rowBytes(layout))

/** The stored rows of a unit in head-major order: in place when they lie so, else gathered into `scratch`. */
function unitContent(
  { layout, spans, blocks, tokens }: StoredSequence,
  layer: number,
  unit: number,
  unitTokens: number,
  scratch: Uint8Array,
): Uint8Array {
  const { blockTokens } = layout
  const span = spans[layer]!
  const first = unit * unitTokens
  const end = Math.min(tokens, first + unitTokens)
  const blockBytes = kvStrides(layout).block
  const together = headIsContiguous(layout)
  if (together && unitTokens === blockTokens && end - first === blockTokens) {
    return span.view(blocks[unit]! * blockBytes, blockBytes)
  }
  const row = rowBytes(layout)
  let at = 0
  for (const plane of planes) {
    for (let head = layout.firstHead; head < layout.firstHead + layout.heads; head++) {
      for (let token = first; token < end; ) {
        const slot = token % blockTokens
        const run = together ? Math.min(blockTokens - slot, end - token) : 1
        const from = rowOffset(layout, blocks[Math.floor(token / blockTokens)]!, plane, head, slot)
        scratch.set(span.view(from, run * row), at)
        at += run * row
        token += run
      }
    }
  }
  return scratch.subarray(0, at)
}
