import { xxh64 } from "@node-rs/xxhash"
import { blocksFor, type KvLayout, kvStrides, tokensInBlock } from "../kv/kv-layout.ts"
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
 * One hash for each (layer, block position): `[layers * positions]`, layer by layer.
 *
 * The hash covers the rows of stored tokens only, always in head-major order, so that two layouts of one cache agree;
 * its seed is the place, so that a right block in a wrong place differs. The function is xxh64: made to notice
 * accidents, not forgery.
 */
export function fingerprintBlocks(sequence: StoredSequence): BigUint64Array {
  const positions = blocksFor(sequence.tokens, sequence.layout.blockTokens)
  const layers = sequence.layout.shape.layers
  const hashes = new BigUint64Array(layers * positions)
  const scratch = new Uint8Array(kvStrides(sequence.layout).block)
  for (let layer = 0; layer < layers; layer++) {
    for (let position = 0; position < positions; position++) {
      const content = blockContent(sequence, layer, position, scratch)
      hashes[layer * positions + position] = xxh64(content, placeSeed(layer, position))
    }
  }
  return hashes
}

/** One hash for each head's key and value: `[layers][positions][2 * heads]`, key before value. */
export function fingerprintHeads(sequence: StoredSequence): bigint[][][] {
  const { layout } = sequence
  const scratch = new Uint8Array(kvStrides(layout).block)
  const positions = blocksFor(sequence.tokens, layout.blockTokens)
  return Array.from({ length: layout.shape.layers }, (_, layer) =>
    Array.from({ length: positions }, (_unused, position) => {
      const content = blockContent(sequence, layer, position, scratch)
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

const placeSeed = (layer: number, position: number): bigint => (BigInt(layer) << 32n) | BigInt(position)

/** The stored rows of a block in head-major order: in place when they lie so, else gathered into `scratch`. */
function blockContent(
  { layout, spans, blocks, tokens }: StoredSequence,
  layer: number,
  position: number,
  scratch: Uint8Array,
): Uint8Array {
  const strides = kvStrides(layout)
  const block = blocks[position]!
  const stored = tokensInBlock(position, tokens, layout.blockTokens)
  const bytes = spans[layer]!.view(block * strides.block, strides.block)
  if (layout.order === "head-major" && stored === layout.blockTokens) return bytes
  const row = rowBytes(layout)
  const run = headIsContiguous(layout) ? stored * row : row
  let at = 0
  for (const plane of planes) {
    for (let head = layout.firstHead; head < layout.firstHead + layout.heads; head++) {
      for (let done = 0; done < stored * row; done += run) {
        const from = rowOffset(layout, 0, plane, head, done / row)
        scratch.set(bytes.subarray(from, from + run), at)
        at += run
      }
    }
  }
  return scratch.subarray(0, at)
}
