import { KvError } from "../errors/kv-error.ts"

const headerBytes = 4

/**
 * One message as it crosses a side channel: its length in bytes (32 bits, little-endian), then JSON.
 *
 * @param replacer what `JSON.stringify` asks for each value
 */
export function packMessage(
  message: object,
  replacer?: (this: unknown, key: string, value: unknown) => unknown,
): Uint8Array {
  const body = new TextEncoder().encode(JSON.stringify(message, replacer))
  const packed = new Uint8Array(headerBytes + body.byteLength)
  new DataView(packed.buffer).setUint32(0, body.byteLength, true)
  packed.set(body, headerBytes)
  return packed
}

/** Finds the messages in what a stream delivers, whatever pieces it delivers it in. */
export class MessageSplitter {
  /** The longest message that is let through, in bytes of JSON. */
  bytesMax: number
  /** What is here and not yet taken; joined only when it holds a whole message, so that small pieces cost no more. */
  #pieces: Uint8Array[] = []
  #waiting = 0
  /** Bytes that must be here before there is something to do. */
  #wanted = headerBytes

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  /** Takes the next bytes of the stream; they must not change any more. */
  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes)
    this.#waiting += bytes.byteLength
  }

  /**
   * The message at the front, once all of it is here; undefined until then.
   *
   * @throws KvError KV_WIRE_INVALID for one that is too long or no JSON; the stream must then be closed.
   */
  next(): unknown {
    if (this.#waiting < this.#wanted) return undefined
    const bytes = this.#joined()
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
    if (length > this.bytesMax) {
      throw new KvError("KV_WIRE_INVALID", {
        what: `the peer announced a message of ${length} bytes on a side channel`,
        why: `one may have ${this.bytesMax} here`,
      })
    }
    const end = headerBytes + length
    this.#wanted = end
    if (this.#waiting < end) return undefined
    this.#pieces = end === bytes.byteLength ? [] : [bytes.subarray(end)]
    this.#waiting -= end
    this.#wanted = headerBytes
    return parsed(bytes.subarray(headerBytes, end))
  }

  #joined(): Uint8Array {
    if (this.#pieces.length === 1) return this.#pieces[0]!
    const joined = new Uint8Array(this.#waiting)
    let at = 0
    for (const piece of this.#pieces) {
      joined.set(piece, at)
      at += piece.byteLength
    }
    this.#pieces = [joined]
    return joined
  }
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body))
  } catch {
    throw new KvError("KV_WIRE_INVALID", { what: "the peer sent what is no JSON on a side channel" })
  }
}
