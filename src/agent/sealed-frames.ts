import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto"
import { KvError } from "../errors/kv-error.ts"
import { type FrameOpener, type FrameSealer, sealTagBytes } from "../wire/control-frame.ts"

const cipher = "aes-256-gcm"
const nonceBytes = 12
/** Bytes of a key for one direction of one channel. */
export const frameKeyBytes = 32
/** Frames of one key: far below where AES-GCM gets weak, years of talk at thousands of frames a second. */
export const sealedFramesMax = 2 ** 40

/**
 * Seals one direction of a control channel: AES-256-GCM, the header as associated data, the frame's number as nonce.
 *
 * A frame opens at its own place only, so nobody on the way can change, repeat, reorder or leave out one unnoticed.
 */
export function frameSealer(key: Uint8Array, first = 0): FrameSealer {
  const numbers = new FrameNumbers(key, first)
  return {
    seal(header, parts, into) {
      const sealing = createCipheriv(cipher, numbers.key, numbers.next(), { authTagLength: sealTagBytes })
      sealing.setAAD(header)
      let at = 0
      for (const part of parts) {
        if (part.byteLength === 0) continue
        into.set(sealing.update(part), at)
        at += part.byteLength
      }
      sealing.final()
      into.set(sealing.getAuthTag(), at)
    },
  }
}

/** Opens what `frameSealer` sealed with the same key. */
export function frameOpener(key: Uint8Array, first = 0): FrameOpener {
  const numbers = new FrameNumbers(key, first)
  return {
    open(header, sealed, split) {
      const end = sealed.byteLength - sealTagBytes
      const opening = createDecipheriv(cipher, numbers.key, numbers.next(), { authTagLength: sealTagBytes })
      opening.setAAD(header)
      opening.setAuthTag(sealed.subarray(end))
      const body = opening.update(sealed.subarray(0, split))
      const attachment = split < end ? opening.update(sealed.subarray(split, end)) : new Uint8Array(0)
      try {
        opening.final()
      } catch {
        throw new KvError("KV_WIRE_INVALID", {
          what: "a sealed frame of the control channel does not open",
          why: "it was changed, repeated, moved or left out on the way",
          next: "check what is between the two hosts",
        })
      }
      return [body, attachment]
    },
  }
}

/** A key, and the numbers of the frames under it: each is used once. */
class FrameNumbers {
  readonly key: KeyObject
  readonly #nonce = new DataView(new ArrayBuffer(nonceBytes))
  #next: number

  constructor(key: Uint8Array, first: number) {
    this.key = createSecretKey(key)
    this.#next = first
  }

  next(): DataView {
    if (this.#next >= sealedFramesMax) {
      throw new KvError("KV_LIMIT", {
        what: `a control channel has carried ${sealedFramesMax} frames`,
        why: "its key is worn out",
        next: "connect again",
      })
    }
    this.#nonce.setBigUint64(nonceBytes - 8, BigInt(this.#next++), true)
    return this.#nonce
  }
}
