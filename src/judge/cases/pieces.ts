import type { Pieces } from "../driver/columns.ts"
import type { CacheShape } from "../driver/protocol.ts"
import { blockBytes, headBytes, planeBytes, rowBytes } from "../pattern/cache-places.ts"

/** One piece of a transfer, from the source's side to the target's. Offsets in bytes from the region's start. */
export interface Piece {
  readonly sourceRegion: number
  readonly sourceOffset: number
  readonly targetRegion: number
  readonly targetOffset: number
  readonly length: number
}

/** A sequence's way: its blocks on each side, and its tokens. */
export interface SequenceTables {
  readonly sourceBlocks: readonly number[]
  readonly targetBlocks: readonly number[]
  readonly tokens: number
}

/** Pieces as columns, for the agent that posts: the target of a read, the source of a write. */
export function columnsOf(pieces: readonly Piece[], poster: "source" | "target"): Pieces {
  const ours = poster === "source"
  return {
    localRegion: Uint32Array.from(pieces, (piece) => (ours ? piece.sourceRegion : piece.targetRegion)),
    localOffset: Float64Array.from(pieces, (piece) => (ours ? piece.sourceOffset : piece.targetOffset)),
    remoteRegion: Uint32Array.from(pieces, (piece) => (ours ? piece.targetRegion : piece.sourceRegion)),
    remoteOffset: Float64Array.from(pieces, (piece) => (ours ? piece.targetOffset : piece.sourceOffset)),
    length: Uint32Array.from(pieces, ({ length }) => length),
  }
}

/** Offset of one row (one head of one token, keys or values) in a region. */
function rowOffset(cache: CacheShape, block: number, plane: number, head: number, slot: number): number {
  const held = head - cache.firstHead
  return (
    block * blockBytes(cache) + plane * planeBytes(cache) + held * headBytes(cache) + slot * rowBytes(cache)
  )
}

/**
 * The pieces of a sequence, row by row, from one cache into another that may hold other heads or other block sizes.
 *
 * It is written out naively on purpose, and asks no code of an engine: rows that follow each other on both sides are one piece.
 */
export function sequencePieces(
  source: CacheShape,
  target: CacheShape,
  { sourceBlocks, targetBlocks, tokens }: SequenceTables,
): Piece[] {
  const row = rowBytes(source)
  const firstHead = Math.max(source.firstHead, target.firstHead)
  const headEnd = Math.min(source.firstHead + source.heads, target.firstHead + target.heads)
  const rows: { readonly position: number; readonly from: number; readonly to: number }[] = []
  for (let token = 0; token < tokens; token++) {
    const position = Math.floor(token / target.blockTokens)
    const from = sourceBlocks[Math.floor(token / source.blockTokens)]!
    for (let plane = 0; plane < 2; plane++) {
      for (let head = firstHead; head < headEnd; head++) {
        rows.push({
          position,
          from: rowOffset(source, from, plane, head, token % source.blockTokens),
          to: rowOffset(target, targetBlocks[position]!, plane, head, token % target.blockTokens),
        })
      }
    }
  }
  // In the order of the table, as connectors list them: neither side's offsets go up with it.
  rows.sort((one, other) => one.position - other.position || one.to - other.to)
  const runs: { position: number; from: number; to: number; length: number }[] = []
  for (const { position, from, to } of rows) {
    const last = runs.at(-1)
    // A block of its own is a descriptor of its own.
    const follows =
      last !== undefined &&
      last.position === position &&
      last.from + last.length === from &&
      last.to + last.length === to
    if (follows) last.length += row
    else runs.push({ position, from, to, length: row })
  }
  return Array.from({ length: source.layers }, (_, layer) =>
    runs.map(({ from, to, length }) => ({
      sourceRegion: layer,
      sourceOffset: from,
      targetRegion: layer,
      targetOffset: to,
      length,
    })),
  ).flat()
}
