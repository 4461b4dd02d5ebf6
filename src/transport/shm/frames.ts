import { KvError } from "../../errors/kv-error.ts"
import { filesPerMessageMax } from "../../os/local-sockets.ts"

/**
 * What the two sides of shm say over their local socket: little-endian frames of a fixed form, `mark`, kind, count,
 * then `fixed` bytes and `count` items. A lender owns regions; a borrower maps them.
 */
const mark = 0x3153464b // "KFS1"
const headerBytes = 8

export const nonceBytes = 16
export const proofBytes = 32
export const tokenBytes = 32
const sessionBytes = 16

/** Regions asked for by one frame: as many as one message carries files. */
export const wantsMax = filesPerMessageMax

/** What the lender says to one wanted region. */
export const handed = { ok: 0, rkeyRejected: 1, notGranted: 2, limit: 3 } as const
/** What a borrower may do with a region that it was handed, as bits. */
export const mayRead = 1
export const mayWrite = 2

/** A region that a borrower asks for. */
export interface Want {
  readonly region: number
  readonly rkey: number
}

/** The answer to one `Want`, in its order; a file comes with each one that is `ok`. */
export interface Handed {
  readonly status: number
  /** Where the session page says whether the region's key still lives. */
  readonly slot: number
  readonly access: number
  readonly length: number
}

export type Frame =
  /** borrower: the first word on its first socket. */
  | { readonly kind: "call" }
  /** lender: answers a call. */
  | { readonly kind: "greeting"; readonly nonce: Uint8Array }
  /** borrower: proves that it knows the session's key. */
  | {
      readonly kind: "hello"
      readonly session: string
      readonly nonce: Uint8Array
      readonly proof: Uint8Array
    }
  /** lender: proves the same; with the token the borrower's second socket, for files, is known to be its own. */
  | { readonly kind: "admitted"; readonly proof: Uint8Array; readonly token: Uint8Array }
  /** lender: before it hangs up. */
  | { readonly kind: "refused" }
  /** borrower, the only frame on its second socket. */
  | { readonly kind: "join"; readonly token: Uint8Array }
  /** lender: the session page is on the second socket. */
  | { readonly kind: "ready" }
  /** borrower: at most one on its way. */
  | { readonly kind: "want"; readonly wants: readonly Want[] }
  /** lender: the files are on the second socket, if any is `ok`. */
  | { readonly kind: "handed"; readonly answers: readonly Handed[] }
  /** lender: give this region back. */
  | { readonly kind: "closed"; readonly slot: number }
  /** borrower: it is no longer mapped here. */
  | { readonly kind: "returned"; readonly slot: number }
  /** lender: the session is over; give everything back and hang up. */
  | { readonly kind: "ended" }

interface Form {
  readonly kind: Frame["kind"]
  readonly fixed: number
  readonly item: number
}

/** A kind's number on the socket is its place here. */
const forms: readonly Form[] = [
  { kind: "call", fixed: 0, item: 0 },
  { kind: "greeting", fixed: nonceBytes, item: 0 },
  { kind: "hello", fixed: sessionBytes + nonceBytes + proofBytes, item: 0 },
  { kind: "admitted", fixed: proofBytes + tokenBytes, item: 0 },
  { kind: "refused", fixed: 0, item: 0 },
  { kind: "join", fixed: tokenBytes, item: 0 },
  { kind: "ready", fixed: 0, item: 0 },
  { kind: "want", fixed: 0, item: 8 },
  { kind: "handed", fixed: 0, item: 24 },
  { kind: "closed", fixed: 4, item: 0 },
  { kind: "returned", fixed: 4, item: 0 },
  { kind: "ended", fixed: 0, item: 0 },
]

/** A frame as its bytes. */
export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const number = forms.findIndex(({ kind }) => kind === frame.kind)
  const form = forms[number]!
  const count =
    frame.kind === "want" ? frame.wants.length : frame.kind === "handed" ? frame.answers.length : 0
  const bytes = new Uint8Array(headerBytes + form.fixed + count * form.item)
  const data = new DataView(bytes.buffer)
  data.setUint32(0, mark, true)
  data.setUint16(4, number, true)
  data.setUint16(6, count, true)
  const at = headerBytes
  if (frame.kind === "greeting") bytes.set(frame.nonce, at)
  else if (frame.kind === "hello") {
    bytes.set(Buffer.from(frame.session, "hex"), at)
    bytes.set(frame.nonce, at + sessionBytes)
    bytes.set(frame.proof, at + sessionBytes + nonceBytes)
  } else if (frame.kind === "admitted") {
    bytes.set(frame.proof, at)
    bytes.set(frame.token, at + proofBytes)
  } else if (frame.kind === "join") bytes.set(frame.token, at)
  else if (frame.kind === "want") {
    frame.wants.forEach(({ region, rkey }, i) => {
      data.setUint32(at + i * 8, region, true)
      data.setUint32(at + i * 8 + 4, rkey, true)
    })
  } else if (frame.kind === "handed") {
    frame.answers.forEach(({ status, slot, access, length }, i) => {
      const item = at + i * 24
      data.setUint32(item, status, true)
      data.setUint32(item + 4, slot, true)
      data.setUint32(item + 8, access, true)
      data.setFloat64(item + 16, length, true)
    })
  } else if (frame.kind === "closed" || frame.kind === "returned") data.setUint32(at, frame.slot, true)
  return bytes
}

/** Cuts a stream of bytes into frames. It keeps at most one unfinished frame. */
export class FrameReader {
  #pending: Uint8Array = new Uint8Array(0)

  /**
   * Takes the next bytes and returns the frames that are whole now.
   * @throws KvError KV_WIRE_INVALID: the socket must be closed.
   */
  take(chunk: Uint8Array): Frame[] {
    const bytes = this.#pending.byteLength === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    const frames: Frame[] = []
    let at = 0
    for (;;) {
      const length = frameBytes(bytes.subarray(at))
      if (length === undefined || at + length > bytes.byteLength) break
      frames.push(decode(bytes.subarray(at, at + length)))
      at += length
    }
    // A copy: the chunk's memory is not ours to keep.
    this.#pending = bytes.slice(at)
    return frames
  }
}

/** The length of the frame that begins here; undefined while its header is not whole. */
function frameBytes(bytes: Uint8Array): number | undefined {
  if (bytes.byteLength < headerBytes) return undefined
  const data = view(bytes)
  const found = data.getUint32(0, true)
  if (found !== mark) throw invalid(`a frame starts with 0x${found.toString(16)}, not with our mark`)
  const number = data.getUint16(4, true)
  const count = data.getUint16(6, true)
  const form = forms[number]
  if (form === undefined) throw invalid(`there is no frame of kind ${number}`)
  const fits = form.item === 0 ? count === 0 : count >= 1 && count <= wantsMax
  if (!fits) throw invalid(`a frame "${form.kind}" has ${count} items`)
  return headerBytes + form.fixed + count * form.item
}

function decode(bytes: Uint8Array): Frame {
  const data = view(bytes)
  const { kind } = forms[data.getUint16(4, true)]!
  const count = data.getUint16(6, true)
  const part = (from: number, length: number): Uint8Array =>
    Uint8Array.from(bytes.subarray(headerBytes + from, headerBytes + from + length))
  const item = <T>(read: (at: number) => T, size: number): T[] =>
    Array.from({ length: count }, (_, i) => read(headerBytes + i * size))
  if (kind === "greeting") return { kind, nonce: part(0, nonceBytes) }
  if (kind === "hello") {
    return {
      kind,
      session: Buffer.from(part(0, sessionBytes)).toString("hex"),
      nonce: part(sessionBytes, nonceBytes),
      proof: part(sessionBytes + nonceBytes, proofBytes),
    }
  }
  if (kind === "admitted") return { kind, proof: part(0, proofBytes), token: part(proofBytes, tokenBytes) }
  if (kind === "join") return { kind, token: part(0, tokenBytes) }
  if (kind === "want") {
    const wants = item((at) => ({ region: data.getUint32(at, true), rkey: data.getUint32(at + 4, true) }), 8)
    return { kind, wants }
  }
  if (kind === "handed") {
    const answers = item(
      (at) => ({
        status: data.getUint32(at, true),
        slot: data.getUint32(at + 4, true),
        access: data.getUint32(at + 8, true),
        length: data.getFloat64(at + 16, true),
      }),
      24,
    )
    return { kind, answers }
  }
  if (kind === "closed" || kind === "returned") return { kind, slot: data.getUint32(headerBytes, true) }
  return { kind }
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const invalid = (why: string): KvError =>
  new KvError("KV_WIRE_INVALID", { what: "the local socket does not carry what kvferry says", why })
