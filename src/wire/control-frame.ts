import { KvError } from "../errors/kv-error.ts"

/**
 * Frames of the control channel: 16 bytes of header, a JSON body, and bytes behind it that JSON would only blow up.
 *
 * Header, little-endian: mark u32, protocol version u16, sealed u16 (0 or 1), body length u32, attachment length u32.
 * A sealed frame has body and attachment encrypted, under their plain lengths, and a tag of 16 bytes behind them.
 */
export const protocolVersion = 2
const mark = 0x4359464b // "KFYC"
const headerBytes = 16

/** Bytes behind a sealed frame that show that nobody changed it. */
export const sealTagBytes = 16

/** Seals the frames of one direction, in their order. What it needs to know of a frame's place, it counts itself. */
export interface FrameSealer {
  /**
   * Encrypts `parts` into `into`, one behind the other, and writes the tag after them.
   * @throws KvError KV_LIMIT when no more frames can be sealed safely.
   */
  seal(header: Uint8Array, parts: readonly Uint8Array[], into: Uint8Array): void
}

/** Opens the frames of one direction: each once, in their order, or not at all. */
export interface FrameOpener {
  /**
   * Decrypts what stands behind `header`, in two parts of which the first has `split` bytes.
   * @throws KvError KV_WIRE_INVALID when one bit of it, its header or its place is not what the peer sealed.
   */
  open(header: Uint8Array, sealed: Uint8Array, split: number): readonly [Uint8Array, Uint8Array]
}

/**
 * Limits of one frame, in bytes. A peer that names more is cut off before anything is allocated for it.
 *
 * `body` holds the block table of the longest claim; one that has not proven itself yet may say no more than `opening`.
 */
export const frameLimits = { opening: 2 ** 16, body: 2 ** 22, attachment: 64 * 2 ** 20 } as const

/** One message as it crosses the wire. */
export interface Frame {
  readonly body: unknown
  readonly attachment: Uint8Array
}

/** Encodes one frame; sealed, when there is something to seal it with. @throws KvError KV_LIMIT. */
export function encodeFrame(
  frame: { readonly body: unknown; readonly attachment?: Uint8Array },
  sealer?: FrameSealer,
): Uint8Array {
  const body = new TextEncoder().encode(JSON.stringify(frame.body))
  const attachment = frame.attachment ?? new Uint8Array(0)
  checkLength("body", body.byteLength, frameLimits.body)
  checkLength("attachment", attachment.byteLength, frameLimits.attachment)
  const tag = sealer === undefined ? 0 : sealTagBytes
  const encoded = new Uint8Array(headerBytes + body.byteLength + attachment.byteLength + tag)
  const header = new DataView(encoded.buffer)
  header.setUint32(0, mark, true)
  header.setUint16(4, protocolVersion, true)
  header.setUint16(6, sealer === undefined ? 0 : 1, true)
  header.setUint32(8, body.byteLength, true)
  header.setUint32(12, attachment.byteLength, true)
  if (sealer === undefined) {
    encoded.set(body, headerBytes)
    encoded.set(attachment, headerBytes + body.byteLength)
  } else {
    sealer.seal(encoded.subarray(0, headerBytes), [body, attachment], encoded.subarray(headerBytes))
  }
  return encoded
}

/** Puts frames together from whatever pieces a stream delivers. */
export class FrameReader {
  #bodyBytesMax: number = frameLimits.opening
  /** None, until the peer has proven itself. */
  #attachmentBytesMax = 0
  #opener: FrameOpener | undefined
  /** What is here and not yet read lies from `#from` to `#to`. */
  #bytes: Uint8Array = new Uint8Array(0)
  #from = 0
  #to = 0
  /** The memory is ours; else it is the last chunk's. */
  #owned = false

  /** Bytes that are here and belong to no frame that was taken. */
  get waiting(): number {
    return this.#to - this.#from
  }

  /** From now on whole messages with attachments are let through, and sealed ones only: the peer has proven itself. */
  open(opener: FrameOpener): void {
    this.#opener = opener
    this.#bodyBytesMax = frameLimits.body
    this.#attachmentBytesMax = frameLimits.attachment
  }

  /** Takes the next bytes of the stream. They must not change before the frames in them have been taken. */
  push(chunk: Uint8Array): void {
    if (this.waiting === 0) {
      // The common case: whole frames, read where they lie.
      this.#bytes = chunk
      this.#from = 0
      this.#to = chunk.byteLength
      this.#owned = false
      return
    }
    this.#makeRoom(chunk.byteLength)
    this.#bytes.set(chunk, this.#to)
    this.#to += chunk.byteLength
  }

  /**
   * The frame at the front, once all of it is here.
   * @throws KvError KV_WIRE_INVALID, KV_LIMIT; the channel must then be closed.
   */
  next(): Frame | undefined {
    if (this.waiting < headerBytes) return undefined
    const front = this.#bytes.subarray(this.#from, this.#to)
    const { body, attachment, tag } = this.#readHeader(front)
    const wanted = headerBytes + body + attachment + tag
    if (this.waiting < wanted) return undefined
    this.#from += wanted
    const header = front.subarray(0, headerBytes)
    const rest = front.subarray(headerBytes, wanted)
    const parts = this.#opener?.open(header, rest, body) ?? [rest.subarray(0, body), rest.subarray(body)]
    return { body: readBody(parts[0]), attachment: aligned(parts[1]) }
  }

  /** Makes room behind what is here, in steps that double: many small pieces cost no more than one large one. */
  #makeRoom(more: number): void {
    const waiting = this.waiting
    if (this.#owned && this.#to + more <= this.#bytes.byteLength) return
    const held = this.#bytes.subarray(this.#from, this.#to)
    const fits = this.#owned && 2 * (waiting + more) <= this.#bytes.byteLength
    if (fits) this.#bytes.copyWithin(0, this.#from, this.#to)
    else {
      this.#bytes = new Uint8Array(2 * (waiting + more))
      this.#bytes.set(held)
      this.#owned = true
    }
    this.#from = 0
    this.#to = waiting
  }

  #readHeader(front: Uint8Array) {
    const header = new DataView(front.buffer, front.byteOffset, headerBytes)
    if (header.getUint32(0, true) !== mark) throw invalid("a frame does not start with kvferry's mark")
    const version = header.getUint16(4, true)
    if (version !== protocolVersion) {
      throw invalid(`the peer speaks control protocol ${version}, we speak ${protocolVersion}`)
    }
    const sealed = header.getUint16(6, true)
    if (sealed !== (this.#opener === undefined ? 0 : 1)) {
      const place = this.#opener === undefined ? "before" : "after"
      throw invalid(`a frame ${place} the end of the handshake has ${sealed} for "sealed"`)
    }
    return {
      body: checkLength("body", header.getUint32(8, true), this.#bodyBytesMax),
      attachment: checkLength("attachment", header.getUint32(12, true), this.#attachmentBytesMax),
      tag: sealed * sealTagBytes,
    }
  }
}

function readBody(text: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text))
  } catch {
    throw invalid(`a frame's body of ${text.byteLength} bytes is not JSON`)
  }
}

/** Bytes of their own that start where 64-bit numbers may be read from. Not slice(): that of a Buffer is a view. */
const aligned = ({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength)
  return byteOffset === 0 && buffer.byteLength === byteLength ? bytes : new Uint8Array(bytes)
}

function checkLength(part: "body" | "attachment", length: number, max: number): number {
  if (length <= max) return length
  throw new KvError("KV_LIMIT", {
    what: `a control frame has a ${part} of ${length} bytes`,
    why: `the limit here is ${max}`,
  })
}

function invalid(what: string): KvError {
  return new KvError("KV_WIRE_INVALID", { what, next: "check that the port belongs to a kvferry agent" })
}
