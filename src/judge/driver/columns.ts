import { KvError } from "../../errors/kv-error.ts"
import type { PieceColumns } from "./protocol.ts"

/** Pieces of a transfer as numbers: entry i of each column is piece i. */
export interface Pieces {
  /** Regions and offsets (bytes from the region's start) of the agent that posts. */
  readonly localRegion: Uint32Array
  readonly localOffset: Float64Array
  /** Regions and offsets of its peer. */
  readonly remoteRegion: Uint32Array
  readonly remoteOffset: Float64Array
  /** Bytes. */
  readonly length: Uint32Array
}

/** Pieces as they travel: base64 of little-endian columns. */
export function encodePieces(pieces: Pieces): PieceColumns {
  return {
    pieces: pieces.length.length,
    localRegion: text(pieces.localRegion),
    localOffset: text(pieces.localOffset),
    remoteRegion: text(pieces.remoteRegion),
    remoteOffset: text(pieces.remoteOffset),
    length: text(pieces.length),
  }
}

/** @throws KvError KV_USAGE when a column has not one entry for each piece. */
export function decodePieces(columns: PieceColumns): Pieces {
  const { pieces } = columns
  return {
    localRegion: new Uint32Array(bytes(columns.localRegion, pieces, 4, "localRegion")),
    localOffset: new Float64Array(bytes(columns.localOffset, pieces, 8, "localOffset")),
    remoteRegion: new Uint32Array(bytes(columns.remoteRegion, pieces, 4, "remoteRegion")),
    remoteOffset: new Float64Array(bytes(columns.remoteOffset, pieces, 8, "remoteOffset")),
    length: new Uint32Array(bytes(columns.length, pieces, 4, "length")),
  }
}

/** The same pieces, seen by the peer. */
export function turned(pieces: Pieces): Pieces {
  const { localRegion, localOffset, remoteRegion, remoteOffset, length } = pieces
  return {
    localRegion: remoteRegion,
    localOffset: remoteOffset,
    remoteRegion: localRegion,
    remoteOffset: localOffset,
    length,
  }
}

/** Sum of their lengths. */
export function bytesOf({ length }: Pieces): number {
  return length.reduce((sum, each) => sum + each, 0)
}

function text({ buffer, byteOffset, byteLength }: Uint32Array | Float64Array): string {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("base64")
}

/** A buffer of its own: Node's lie anywhere in a larger one, and a column must be aligned. */
function bytes(column: string, pieces: number, each: number, name: string): ArrayBuffer {
  const decoded = Buffer.from(column, "base64")
  if (!Number.isSafeInteger(pieces) || pieces < 0 || decoded.length !== pieces * each) {
    throw new KvError("KV_USAGE", {
      what: `the column ${name} has ${decoded.length} bytes for ${pieces} pieces of ${each} bytes`,
    })
  }
  return Uint8Array.from(decoded).buffer
}
