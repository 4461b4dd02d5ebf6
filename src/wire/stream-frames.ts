/**
 * The data stream of the tcp transport: fixed frames, little-endian, one stream per rail.
 *
 * The listener greets with a nonce, the caller proves that it knows the session's key, the listener answers with a
 * verdict. Then the caller sends requests (header, piece table, for a write also the payload), and each is answered
 * in order (header, for a read also the payload). A payload is the bytes of the pieces in table order.
 */
export const streamMagic = 0x3159464b // "KFY1"
export const streamVersion = 1

export const greetingBytes = 32
export const nonceBytes = 16
export const helloBytes = 64
export const sessionIdBytes = 16
export const proofBytes = 32
export const headerBytes = 32
export const pieceBytes = 16

/** Most pieces of one request: its table stays small, and the listener checks it in one go. */
export const requestPiecesMax = 1000
/** Most payload bytes of one request. */
export const requestBytesMax = 4 * 2 ** 20

/** What a response says. */
export const status = {
  ok: 0,
  rkeyRejected: 1,
  outOfBounds: 2,
  notGranted: 3,
  malformed: 4,
  untrusted: 5,
} as const

/** Which way the payload of a request goes: 1 to the caller, 2 from it. */
export const direction = { read: 1, write: 2 } as const

/** Checks magic and version of a greeting or hello. Returns what is wrong, or undefined. */
export function greetingProblem(data: DataView): string | undefined {
  const magic = data.getUint32(0, true)
  if (magic !== streamMagic) return `it starts with 0x${magic.toString(16)}, not with kvferry's mark`
  const version = data.getUint16(4, true)
  return version === streamVersion
    ? undefined
    : `it speaks stream version ${version}, we speak ${streamVersion}`
}

export function writeGreeting(into: DataView): void {
  into.setUint32(0, streamMagic, true)
  into.setUint16(4, streamVersion, true)
}

export const greetingNonceAt = 8
export const helloSessionAt = 8
export const helloProofAt = 24

/** The fixed part of a request. */
export interface RequestHeader {
  readonly direction: number
  readonly batch: number
  readonly pieces: number
  readonly bytes: number
}

export function writeRequest(into: DataView, request: RequestHeader): void {
  into.setUint32(0, streamMagic, true)
  into.setUint32(4, request.direction, true)
  into.setUint32(8, request.batch, true)
  into.setUint32(12, request.pieces, true)
  into.setFloat64(16, request.bytes, true)
  into.setFloat64(24, 0, true)
}

/** @returns undefined when the header cannot be one of ours; the stream must then be closed. */
export function readRequest(from: DataView): RequestHeader | undefined {
  const request = {
    direction: from.getUint32(4, true),
    batch: from.getUint32(8, true),
    pieces: from.getUint32(12, true),
    bytes: from.getFloat64(16, true),
  }
  const sane =
    from.getUint32(0, true) === streamMagic &&
    (request.direction === direction.read || request.direction === direction.write) &&
    request.pieces >= 1 &&
    request.pieces <= requestPiecesMax &&
    Number.isSafeInteger(request.bytes) &&
    request.bytes >= 1 &&
    request.bytes <= requestBytesMax
  return sane ? request : undefined
}

/** One line of a request's piece table. */
export interface PieceEntry {
  readonly rkey: number
  readonly length: number
  readonly offset: number
}

export function writePiece(
  into: DataView,
  index: number,
  rkey: number,
  length: number,
  offset: number,
): void {
  const at = headerBytes + index * pieceBytes
  into.setUint32(at, rkey, true)
  into.setUint32(at + 4, length, true)
  into.setFloat64(at + 8, offset, true)
}

export function readPiece(from: DataView, index: number): PieceEntry {
  const at = headerBytes + index * pieceBytes
  return {
    rkey: from.getUint32(at, true),
    length: from.getUint32(at + 4, true),
    offset: from.getFloat64(at + 8, true),
  }
}

/** The fixed part of an answer. `piece` is the piece that a refusal is about. */
export interface ResponseHeader {
  readonly status: number
  readonly batch: number
  readonly piece: number
  readonly bytes: number
}

export function writeResponse(into: DataView, response: ResponseHeader): void {
  into.setUint32(0, streamMagic, true)
  into.setUint32(4, response.status, true)
  into.setUint32(8, response.batch, true)
  into.setUint32(12, response.piece, true)
  into.setFloat64(16, response.bytes, true)
  into.setFloat64(24, 0, true)
}

/** @returns undefined when it does not start with our mark. */
export function readResponse(from: DataView): ResponseHeader | undefined {
  if (from.getUint32(0, true) !== streamMagic) return undefined
  return {
    status: from.getUint32(4, true),
    batch: from.getUint32(8, true),
    piece: from.getUint32(12, true),
    bytes: from.getFloat64(16, true),
  }
}
