import { KvError } from "../errors/kv-error.ts"

/**
 * Frames of the control channel: 16 bytes of header, a JSON body, and bytes behind it that JSON would only blow up.
 *
 * Header, little-endian: mark u32, protocol version u16, zero u16, body length u32, attachment length u32.
 */
export const protocolVersion = 1
const mark = 0x4359464b // "KFYC"
const headerBytes = 16

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

/** Encodes one frame. */
export function encodeFrame(frame: { readonly body: unknown; readonly attachment?: Uint8Array }): Uint8Array {
  const body = new TextEncoder().encode(JSON.stringify(frame.body))
  const attachment = frame.attachment ?? new Uint8Array(0)
  checkLength("body", body.byteLength, frameLimits.body)
  checkLength("attachment", attachment.byteLength, frameLimits.attachment)
  const encoded = new Uint8Array(headerBytes + body.byteLength + attachment.byteLength)
  const header = new DataView(encoded.buffer)
  header.setUint32(0, mark, true)
  header.setUint16(4, protocolVersion, true)
  header.setUint32(8, body.byteLength, true)
  header.setUint32(12, attachment.byteLength, true)
  encoded.set(body, headerBytes)
  encoded.set(attachment, headerBytes + body.byteLength)
  return encoded
}

/** Puts frames together from whatever pieces a stream delivers. */
export class FrameReader {
  #bodyBytesMax: number = frameLimits.opening
  /** None, until the peer has proven itself. */
  #attachmentBytesMax = 0
  #chunks: Uint8Array[] = []
  #length = 0

  /** From now on whole messages with attachments are let through: the peer has proven itself. */
  open(): void {
    this.#bodyBytesMax = frameLimits.body
    this.#attachmentBytesMax = frameLimits.attachment
  }

  /**
   * Takes the next bytes and returns the frames that are complete now.
   * @throws KvError KV_WIRE_INVALID; the channel must then be closed.
   */
  push(chunk: Uint8Array): Frame[] {
    this.#chunks.push(chunk)
    this.#length += chunk.byteLength
    const frames: Frame[] = []
    for (
      let wanted = this.#frameBytes();
      wanted !== undefined && wanted <= this.#length;
      wanted = this.#frameBytes()
    ) {
      frames.push(decodeFrame(this.#take(wanted)))
    }
    return frames
  }

  /** Bytes of the frame at the front, once its header is here. */
  #frameBytes(): number | undefined {
    if (this.#length < headerBytes) return undefined
    const front = this.#peek(headerBytes)
    const header = new DataView(front.buffer, front.byteOffset, headerBytes)
    if (header.getUint32(0, true) !== mark) throw invalid("a frame does not start with kvferry's mark")
    const version = header.getUint16(4, true)
    if (version !== protocolVersion) {
      throw invalid(`the peer speaks control protocol ${version}, we speak ${protocolVersion}`)
    }
    const body = checkLength("body", header.getUint32(8, true), this.#bodyBytesMax)
    const attachment = checkLength("attachment", header.getUint32(12, true), this.#attachmentBytesMax)
    return headerBytes + body + attachment
  }

  #peek(count: number): Uint8Array {
    if (this.#chunks[0]!.byteLength < count) this.#chunks = [join(this.#chunks, this.#length)]
    return this.#chunks[0]!
  }

  #take(count: number): Uint8Array {
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : join(this.#chunks, this.#length)
    this.#chunks = count === all.byteLength ? [] : [all.subarray(count)]
    this.#length -= count
    return all.subarray(0, count)
  }
}

function decodeFrame(bytes: Uint8Array): Frame {
  const bodyBytes = new DataView(bytes.buffer, bytes.byteOffset, headerBytes).getUint32(8, true)
  const text = bytes.subarray(headerBytes, headerBytes + bodyBytes)
  try {
    const body: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text))
    // A copy, so that it starts at an aligned address. Not slice(): that of a Buffer is a view.
    return { body, attachment: new Uint8Array(bytes.subarray(headerBytes + bodyBytes)) }
  } catch {
    throw invalid(`a frame's body of ${bodyBytes} bytes is not JSON`)
  }
}

function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const joined = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    joined.set(chunk, at)
    at += chunk.byteLength
  }
  return joined
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
