import { blocksFor, type KvLayout, type KvOrder } from "../kv/kv-layout.ts"
import { planes, rowBytes, rowOffset } from "../kv/kv-rows.ts"
import { PlainMapping } from "../memory/plain-memory.test.kit.ts"
import type { StoredSequence } from "./fingerprint.ts"

/** How a test's sequence is stored. */
export interface StoredOptions {
  readonly order?: KvOrder
  readonly tokens: number
  readonly layers?: number
  readonly heads?: number
  readonly headDim?: number
  readonly blockTokens?: number
  /** Decides where the blocks lie, and what the rows of nobody hold. */
  readonly seed?: number
  /** The value of one stored number. */
  readonly value?: (layer: number, plane: number, head: number, token: number, i: number) => number
}

const distinct = (layer: number, plane: number, head: number, token: number, i: number): number =>
  1 + layer * 0.5 + plane * 0.25 + head * 0.125 + token * 0.0625 + i * 0.001

/** A sequence of distinct numbers in scattered blocks; everything else in its pool is noise. */
export function storedSequence(options: StoredOptions): StoredSequence {
  const { tokens, blockTokens = 4, heads = 2, layers = 3, headDim = 4, seed = 1 } = options
  const positions = blocksFor(tokens, blockTokens)
  const layout: KvLayout = {
    shape: { layers, kvHeads: heads, headDim, elementBytes: 4 },
    order: options.order ?? "head-major",
    blockTokens,
    blocks: positions + 3,
    firstHead: 0,
    heads,
  }
  const blocks = Uint32Array.from({ length: positions }, (_, i) => (i * 2 + seed) % layout.blocks)
  // Twice 2 * i + seed meets only when the pool is even: then the later half takes the odd ones.
  const used = new Set<number>()
  for (let i = 0; i < positions; i++) {
    while (used.has(blocks[i]!)) blocks[i] = (blocks[i]! + 1) % layout.blocks
    used.add(blocks[i]!)
  }
  const value = options.value ?? distinct
  const bytes = 2 * heads * blockTokens * headDim * 4 * layout.blocks
  const spans = Array.from({ length: layers }, (_, layer) => {
    const span = new PlainMapping(bytes, `layer-${layer}`)
    const all = span.view(0, bytes)
    for (let i = 0; i < bytes; i++) all[i] = (i * 31 + seed * 17 + layer) % 251
    for (let token = 0; token < tokens; token++) {
      for (const plane of planes) {
        for (let head = 0; head < heads; head++) {
          const block = blocks[Math.floor(token / blockTokens)]!
          const row = span.view(rowOffset(layout, block, plane, head, token % blockTokens), rowBytes(layout))
          const data = new DataView(row.buffer, row.byteOffset, row.byteLength)
          for (let i = 0; i < headDim; i++) data.setFloat32(i * 4, value(layer, plane, head, token, i), true)
        }
      }
    }
    return span
  })
  return { layout, spans, blocks, tokens }
}

/** Where a number of a pool belongs: `layer.position.plane.head.slot`, or "nobody's". */
export function placesThatDiffer(before: readonly Uint8Array[], after: StoredSequence): Set<string> {
  const { layout, blocks, tokens, spans } = after
  const names = new Map<number, string>()
  const row = rowBytes(layout)
  for (let token = 0; token < tokens; token++) {
    const position = Math.floor(token / layout.blockTokens)
    const slot = token % layout.blockTokens
    for (const plane of planes) {
      for (let head = 0; head < layout.heads; head++) {
        const at = rowOffset(layout, blocks[position]!, plane, head, slot) / row
        names.set(at, `${position}.${plane}.${head}.${slot}`)
      }
    }
  }
  const found = new Set<string>()
  for (const [layer, span] of spans.entries()) {
    const now = span.view(0, span.byteLength)
    for (let i = 0; i < now.length; i++) {
      if (now[i] === before[layer]![i]) continue
      const name = names.get(Math.floor(i / row))
      found.add(name === undefined ? "nobody's" : `${layer}.${name}`)
    }
  }
  return found
}

/** A copy of every byte of a sequence's pool. */
export const snapshot = ({ spans }: StoredSequence): Uint8Array[] =>
  spans.map((span) => span.view(0, span.byteLength).slice())
