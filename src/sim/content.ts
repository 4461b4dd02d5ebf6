import { type KvLayout, kvStrides } from "../kv/kv-layout.ts"
import type { MemorySpan } from "../memory/host-memory.ts"

/** Names one filling of some blocks, by one owner in one life: the world counts them from 1. */
export type Filling = number

/** A sequence as it lies in a pool, and the filling that it should be. */
export interface StoredFilling {
  readonly layout: KvLayout
  readonly spans: readonly MemorySpan[]
  readonly blocks: Uint32Array
  readonly tokens: number
  readonly filling: Filling
}

/** Where a stored sequence is not what it should be. `found` is the filling that the word there belongs to. */
export interface Misplaced {
  readonly layer: number
  readonly token: number
  readonly plane: number
  readonly head: number
  readonly byte: number
  readonly found: { readonly filling: number; readonly layer: number; readonly index: number }
}

const wordBytes = 4
/** Bits of a word: which filling, which layer, which word of the sequence. */
const bits = { filling: 14, layer: 3, index: 15 } as const
export const fillingsMax = 2 ** bits.filling

/**
 * The word that belongs to one place. Every place of every filling has another one, and `placeOf` reads it back, so a
 * byte that is somewhere else can be named.
 */
export function wordOf(filling: Filling, layer: number, index: number): number {
  const place = ((filling << (bits.layer + bits.index)) | (layer << bits.index) | index) >>> 0
  let word = Math.imul(place ^ (place >>> 15), 0x2c1b3c6d)
  word = Math.imul(word ^ (word >>> 13), 0x297a2d39)
  return (word ^ (word >>> 16)) >>> 0
}

/** The place that a word belongs to: the way back of `wordOf`. */
export function placeOf(word: number): Misplaced["found"] {
  let place = word ^ (word >>> 16)
  place = Math.imul(place, inverse.second)
  place = place ^ (place >>> 13) ^ (place >>> 26)
  place = Math.imul(place, inverse.first)
  place = (place ^ (place >>> 15) ^ (place >>> 30)) >>> 0
  return {
    filling: place >>> (bits.layer + bits.index),
    layer: (place >>> bits.index) & (2 ** bits.layer - 1),
    index: place & (2 ** bits.index - 1),
  }
}

/** Writes every stored row of a sequence. */
export function fillSequence(sequence: StoredFilling): void {
  for (const row of rowsOf(sequence)) {
    for (let i = 0; i < row.words.length; i++)
      row.words[i] = wordOf(sequence.filling, row.layer, row.first + i)
  }
}

/** Writes blocks whole, whatever lay in them: as their next owner would. */
export function scribble(
  { layout, spans, blocks }: Omit<StoredFilling, "tokens" | "filling">,
  filling: Filling,
): void {
  const { block } = kvStrides(layout)
  for (const [layer, span] of spans.entries()) {
    for (const id of blocks) {
      const words = wordsOf(span, id * block, block)
      for (let i = 0; i < words.length; i++) words[i] = wordOf(filling, layer, i)
    }
  }
}

/** True when blocks hold exactly what `scribble` wrote. */
export function isScribbled(
  { layout, spans, blocks }: Omit<StoredFilling, "tokens" | "filling">,
  filling: Filling,
): boolean {
  const { block } = kvStrides(layout)
  return spans.every((span, layer) =>
    [...blocks].every((id) =>
      wordsOf(span, id * block, block).every((word, i) => word === wordOf(filling, layer, i)),
    ),
  )
}

/**
 * The first place that does not hold its word; undefined when every stored byte is right.
 * @param heads those that are looked at; all of the layout when absent.
 */
export function firstMisplaced(
  sequence: StoredFilling,
  heads: { readonly firstHead: number; readonly heads: number } = sequence.layout,
): Misplaced | undefined {
  for (const { words, first, layer, token, plane, head } of rowsOf(sequence)) {
    if (head < heads.firstHead || head >= heads.firstHead + heads.heads) continue
    for (let i = 0; i < words.length; i++) {
      if (words[i] === wordOf(sequence.filling, layer, first + i)) continue
      return { layer, token, plane, head, byte: i * wordBytes, found: placeOf(words[i]!) }
    }
  }
  return undefined
}

interface Row {
  readonly layer: number
  readonly token: number
  readonly plane: number
  readonly head: number
  /** Index of its first word among those of its sequence and layer: the same in every layout of one model. */
  readonly first: number
  readonly words: Uint32Array
}

/**
 * The rows of a sequence in its own layout.
 *
 * The arithmetic is written out here on purpose: an oracle that asked the code under test where a row lies would
 * agree with its mistakes.
 */
function* rowsOf({ layout, spans, blocks, tokens }: StoredFilling): Generator<Row> {
  const { shape, order, blockTokens, firstHead, heads } = layout
  const rowLength = shape.headDim * shape.elementBytes
  const rowWords = rowLength / wordBytes
  for (const [layer, span] of spans.entries()) {
    for (let token = 0; token < tokens; token++) {
      const block = blocks[Math.floor(token / blockTokens)]!
      const slot = token % blockTokens
      for (let plane = 0; plane < 2; plane++) {
        for (let held = 0; held < heads; held++) {
          const inPlane = order === "head-major" ? held * blockTokens + slot : slot * heads + held
          const rowsBefore = (block * 2 + plane) * heads * blockTokens + inPlane
          const head = firstHead + held
          const first = ((token * 2 + plane) * shape.kvHeads + head) * rowWords
          yield { layer, token, plane, head, first, words: wordsOf(span, rowsBefore * rowLength, rowLength) }
        }
      }
    }
  }
}

function wordsOf(span: MemorySpan, offset: number, length: number): Uint32Array {
  const view = span.view(offset, length)
  return new Uint32Array(view.buffer, view.byteOffset, length / wordBytes)
}

/** Inverses, modulo 2^32, of the two odd factors. */
const inverse = { first: inverseOf(0x2c1b3c6d), second: inverseOf(0x297a2d39) } as const

/** Newton's iteration: each step doubles the bits that are right. */
function inverseOf(odd: number): number {
  let result = odd
  for (let i = 0; i < 5; i++) result = Math.imul(result, 2 - Math.imul(odd, result))
  return result
}
