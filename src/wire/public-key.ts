import { type Fields, text, wrong } from "./fields.ts"

const prefix = "ed25519:"
/** Characters of a public key as text: the prefix, and 32 bytes in base64url without padding. */
export const publicKeyChars = prefix.length + 43

/**
 * Points of small order, with the sign bit cleared: a signature for one of these "keys" can be made without any
 * private key, so that one in a trust file would let everybody in.
 */
const smallOrder: ReadonlySet<string> = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
])

/** An Ed25519 public key of 32 bytes as people and the wire write it: `ed25519:BASE64URL`. */
export function formatPublicKey(raw: Uint8Array): string {
  return prefix + Buffer.from(raw).toString("base64url")
}

/**
 * The 32 bytes of a key in its one spelling; undefined for any other text, and for a key that proves nothing.
 * @see RFC 8032, 5.1.2; the points of small order are those of libsodium's `ge25519_has_small_order`.
 */
export function parsePublicKey(written: string): Uint8Array | undefined {
  if (written.length !== publicKeyChars || !written.startsWith(prefix)) return undefined
  const raw = new Uint8Array(Buffer.from(written.slice(prefix.length), "base64url"))
  // One key, one spelling: a withdrawn key must not come back with other characters.
  if (raw.byteLength !== 32 || formatPublicKey(raw) !== written) return undefined
  const unsigned = Buffer.from(raw)
  unsigned[31]! &= 0x7f
  return smallOrder.has(unsigned.toString("hex")) ? undefined : raw
}

/** A public key that came over the wire. @throws KvError KV_WIRE_INVALID. */
export function readPublicKey(from: Fields, name: string): string {
  const written = text(from, name, publicKeyChars)
  if (parsePublicKey(written) === undefined) throw wrong(name, "an Ed25519 public key", written)
  return written
}
