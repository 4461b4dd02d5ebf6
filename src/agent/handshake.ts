import { createHash, createHmac, hkdfSync, timingSafeEqual } from "node:crypto"
import type { Session } from "../transport/transport.ts"
import { type Card, readCard } from "../wire/card.ts"
import { type CredentialKind, handshakeVersion, type Proof } from "../wire/handshake-messages.ts"
import type { Credentials } from "./credentials.ts"
import { verifySignature } from "./key-pairs.ts"
import { frameKeyBytes } from "./sealed-frames.ts"

/** Which side proves: the two proofs differ, so neither can be sent back as the other. */
export type Side = "caller" | "listener"

/** What both sides know when hello and challenge have crossed, and the key that the caller shows with its proof. */
export interface Transcript {
  readonly versions: readonly number[]
  readonly credential: CredentialKind
  readonly callerAgent: string
  readonly callerBoot: string
  readonly callerNonce: string
  readonly callerEphemeral: string
  /** The caller's public key; empty when it has none. */
  readonly callerKey: string
  readonly listenerNonce: string
  readonly listenerEphemeral: string
  /** The listener's public key; empty when it has none. */
  readonly listenerKey: string
}

/** What the caller's proof covers. Fixed order and JSON's quotes: no letter can move from one field to the next. */
export function callerWords(transcript: Transcript): string {
  return JSON.stringify([
    transcript.versions,
    handshakeVersion,
    transcript.credential,
    transcript.callerAgent,
    transcript.callerBoot,
    transcript.callerNonce,
    transcript.callerEphemeral,
    transcript.callerKey,
    transcript.listenerNonce,
    transcript.listenerEphemeral,
    transcript.listenerKey,
  ])
}

/** What the listener's proof covers, and what the session is made of: all that was said before, and its card. */
export function listenerWords(transcript: Transcript, callerProof: Proof, listenerCard: Card): string {
  return JSON.stringify([
    callerWords(transcript),
    callerProof.mac ?? "",
    callerProof.signature ?? "",
    listenerCard.agentId,
    listenerCard.bootId,
    cardDigest(listenerCard),
  ])
}

/** The proof of `side` over `words`, with whatever its credentials have. */
export function prove({ secret, identity }: Credentials, side: Side, words: string): Proof {
  return {
    ...(secret === undefined ? {} : { mac: macOf(secret, `${side} proof`, words).toString("hex") }),
    ...(identity === undefined
      ? {}
      : { signature: Buffer.from(identity.sign(signedBytes(side, words))).toString("hex") }),
  }
}

/** What a proof is held against: our secret, when we have one, and the key that the peer showed, when we want one. */
export interface Expectation {
  readonly secret?: Uint8Array | undefined
  readonly publicKey?: string | undefined
}

/** True when the proof has exactly what is expected, and all of it holds. Compares in constant time. */
export function provenBy(proof: Proof, expected: Expectation, side: Side, words: string): boolean {
  const { secret, publicKey } = expected
  if (secret === undefined && publicKey === undefined) return false
  if ((proof.mac === undefined) !== (secret === undefined)) return false
  if ((proof.signature === undefined) !== (publicKey === undefined)) return false
  if (secret !== undefined && !sameDigits(proof.mac!, macOf(secret, `${side} proof`, words))) return false
  if (publicKey === undefined) return true
  return verifySignature(publicKey, signedBytes(side, words), Buffer.from(proof.signature!, "hex"))
}

/** What a handshake opened: the session, keys for what is said from now on, and the seal over the caller's card. */
export interface Opened {
  readonly session: Session
  /** What each side seals its own messages with, once the handshake is over. Never sent, as no key here is. */
  readonly frameKeys: Readonly<Record<Side, Uint8Array>>
  /** Binds a card of the caller to the session. Hexadecimal. */
  sealOf(card: Card): string
  /** Compares a received seal in constant time. */
  seals(seal: string, card: Card): boolean
}

/** Derives the session from the agreed secret and all that was said. @see RFC 5869 */
export function openSession(shared: Uint8Array, secret: Uint8Array | undefined, words: string): Opened {
  // The shared secret has 32 bytes always, so nothing can move between the two.
  const input = Buffer.concat([shared, secret ?? new Uint8Array(0)])
  const salt = createHash("sha256").update(words).digest()
  const material = new Uint8Array(
    hkdfSync("sha256", input, salt, "kvferry session 2", 80 + 2 * frameKeyBytes),
  )
  const sealKey = material.slice(48, 80)
  const sealOf = (card: Card): Buffer => macOf(sealKey, "caller card", cardDigest(card))
  return {
    session: { id: Buffer.from(material.subarray(0, 16)).toString("hex"), key: material.slice(16, 48) },
    frameKeys: {
      caller: material.slice(80, 80 + frameKeyBytes),
      listener: material.slice(80 + frameKeyBytes),
    },
    sealOf: (card) => sealOf(card).toString("hex"),
    seals: (seal, card) => sameDigits(seal, sealOf(card)),
  }
}

/** A card as its reader sees it: both sides hash the same fields in the same order. */
const cardDigest = (card: Card): string =>
  createHash("sha256")
    .update(JSON.stringify(readCard(card)))
    .digest("hex")

const macOf = (key: Uint8Array, what: string, words: string): Buffer =>
  createHmac("sha256", key).update(domain(what)).update(words).digest()

/** A signature says what it was made for, so that one made elsewhere with the same key is worth nothing here. */
const signedBytes = (side: Side, words: string): Uint8Array =>
  Buffer.from(domain(`${side} signature`) + words)

const domain = (what: string): string => `kvferry handshake ${handshakeVersion} ${what}\n`

function sameDigits(digits: string, expected: Buffer): boolean {
  const given = Buffer.from(digits, "hex")
  return given.byteLength === expected.byteLength && timingSafeEqual(given, expected)
}
