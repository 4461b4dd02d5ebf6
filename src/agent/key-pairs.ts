import {
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  sign,
  verify,
} from "node:crypto"
import { KvError } from "../errors/kv-error.ts"
import { formatPublicKey, parsePublicKey } from "../wire/public-key.ts"
import type { Identity } from "./credentials.ts"

/** PKCS #8 around 32 bytes of a private key: version 0, the algorithm, an octet string in an octet string. RFC 8410. */
const pkcs8Prefix = {
  x25519: "302e020100300506032b656e04220420",
  ed25519: "302e020100300506032b657004220420",
}

/** The identity of an Ed25519 private key. @throws KvError KV_USAGE for a key of another kind. */
export function identityOf(privateKey: KeyObject): Identity {
  if (privateKey.type !== "private" || privateKey.asymmetricKeyType !== "ed25519") {
    throw new KvError("KV_USAGE", {
      what: `an identity is an Ed25519 private key, and this is ${privateKey.asymmetricKeyType ?? privateKey.type}`,
    })
  }
  return {
    publicKey: formatPublicKey(rawPublicKey(privateKey)),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  }
}

/** The identity of 32 random bytes. */
export const identityOfSeed = (seed: Uint8Array): Identity => identityOf(privateKeyOf("ed25519", seed))

/** True when the holder of `publicKey` signed `message`. False for whatever else, never an exception. */
export function verifySignature(publicKey: string, message: Uint8Array, signature: Uint8Array): boolean {
  const raw = parsePublicKey(publicKey)
  return (
    raw !== undefined &&
    signature.byteLength === 64 &&
    verify(null, message, asPublicKey("Ed25519", raw), signature)
  )
}

/** A short name of a key for people: the first 64 bits of its SHA-256, as `0123-4567-89ab-cdef`. Not for decisions. */
export function keyFingerprint(publicKey: string): string {
  const digits = createHash("sha256")
    .update(parsePublicKey(publicKey) ?? publicKey)
    .digest("hex")
    .slice(0, 16)
  return digits.replace(/(.{4})(?=.)/g, "$1-")
}

/** One side's part of a key agreement, made for one handshake. */
export interface Ephemeral {
  /** 32 bytes in hexadecimal. */
  readonly publicKey: string
  /** The shared secret of 32 bytes; undefined when the peer's key is one that leaves no secret. */
  agree(peerPublicKey: string): Uint8Array | undefined
}

/** An X25519 key pair of 32 random bytes. @see RFC 7748 */
export function ephemeralOf(random: Uint8Array): Ephemeral {
  const privateKey = privateKeyOf("x25519", random)
  return {
    publicKey: Buffer.from(rawPublicKey(privateKey)).toString("hex"),
    agree(peerPublicKey) {
      const publicKey = asPublicKey("X25519", Buffer.from(peerPublicKey, "hex"))
      try {
        return new Uint8Array(diffieHellman({ privateKey, publicKey }))
      } catch {
        // OpenSSL refuses a result of zeros: the peer sent a point of small order (RFC 7748, 6.1).
        return undefined
      }
    },
  }
}

function privateKeyOf(kind: keyof typeof pkcs8Prefix, raw: Uint8Array): KeyObject {
  const der = Buffer.concat([Buffer.from(pkcs8Prefix[kind], "hex"), raw])
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" })
}

function rawPublicKey(privateKey: KeyObject): Uint8Array {
  const { x } = createPublicKey(privateKey).export({ format: "jwk" })
  return new Uint8Array(Buffer.from(x!, "base64url"))
}

function asPublicKey(crv: "Ed25519" | "X25519", raw: Uint8Array): KeyObject {
  return createPublicKey({
    key: { kty: "OKP", crv, x: Buffer.from(raw).toString("base64url") },
    format: "jwk",
  })
}
