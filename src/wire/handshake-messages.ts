import { KvError } from "../errors/kv-error.ts"
import { type Card, readCard } from "./card.ts"
import { type Fields, fields, hex, label, list, oneOf, whole, wrong } from "./fields.ts"
import { readPublicKey } from "./public-key.ts"

/** The version of the handshake that this side speaks; both sides name theirs, and the transcript has them all. */
export const handshakeVersion = 2

/** What a side proves, and what it wants proven. */
export type CredentialKind = (typeof credentialKinds)[number]
const credentialKinds = ["secret", "key", "both"] as const

/** Bytes of what the handshake exchanges. */
export const handshakeBytes = { nonce: 32, ephemeral: 32, mac: 32, signature: 64, seal: 32 } as const
/** Versions that a hello may offer. */
const versionsMax = 16

/** Proof of a side over the transcript: by the cluster's secret, by its key, or by both. In hexadecimal. */
export interface Proof {
  readonly mac?: string
  readonly signature?: string
}

/** The five messages by which two agents get to trust each other, in their order; the caller sends the first. */
export type HandshakeMessage =
  | {
      readonly type: "hello"
      readonly versions: readonly number[]
      readonly credential: CredentialKind
      readonly agentId: string
      readonly bootId: string
      readonly nonce: string
      /** X25519 public key, made for this handshake. */
      readonly ephemeral: string
    }
  | {
      readonly type: "challenge"
      readonly version: number
      readonly credential: CredentialKind
      readonly nonce: string
      readonly ephemeral: string
      /** The listener's key, so that the caller proves itself to nobody else. */
      readonly publicKey?: string
    }
  | { readonly type: "proof"; readonly publicKey?: string; readonly proof: Proof }
  | { readonly type: "welcome"; readonly proof: Proof; readonly card: Card }
  /** `seal` binds the caller's card to the session. */
  | { readonly type: "present"; readonly seal: string; readonly card: Card }

type HandshakeType = HandshakeMessage["type"]
const handshakeTypes: ReadonlySet<string> = new Set<HandshakeType>([
  "hello",
  "challenge",
  "proof",
  "welcome",
  "present",
])

/** True for the messages that belong to the handshake. */
export const isHandshakeType = (type: string): type is HandshakeType => handshakeTypes.has(type)

/** Reads one of the handshake's messages. @throws KvError KV_WIRE_INVALID, naming both versions when they differ. */
export function readHandshakeMessage(type: HandshakeType, message: Fields): HandshakeMessage {
  switch (type) {
    case "hello":
      return {
        type,
        versions: readVersions(message),
        ...readOpening(message),
        agentId: label(message, "agentId", 128),
        bootId: hex(message, "bootId", 16),
      }
    case "challenge":
      return {
        type,
        version: readVersions({ versions: [message["version"] ?? 1] })[0]!,
        ...readOpening(message),
        ...readKey(message),
      }
    case "proof":
      return { type, ...readKey(message), proof: readProof(message["proof"]) }
    case "welcome":
      return { type, proof: readProof(message["proof"]), card: readCard(message["card"]) }
    case "present":
      return { type, seal: hex(message, "seal", handshakeBytes.seal), card: readCard(message["card"]) }
  }
}

/** First of all: what else a message of another version holds is not known here. */
function readVersions(message: Fields): number[] {
  // Version 1 did not say so.
  const said = message["versions"] === undefined ? { versions: [1] } : message
  const versions = list(said, "versions", versionsMax, (version) => whole({ version }, "version", 65_535))
  if (versions.includes(handshakeVersion)) return versions
  throw new KvError("KV_WIRE_INVALID", {
    what: `the peer speaks handshake ${versions.join(", ") || "of no version"}, this side speaks ${handshakeVersion}`,
    next: "run the same version of kvferry on both sides",
  })
}

function readOpening(message: Fields) {
  return {
    credential: oneOf(message, "credential", credentialKinds),
    nonce: hex(message, "nonce", handshakeBytes.nonce),
    ephemeral: hex(message, "ephemeral", handshakeBytes.ephemeral),
  }
}

const readKey = (message: Fields): { readonly publicKey?: string } =>
  message["publicKey"] === undefined ? {} : { publicKey: readPublicKey(message, "publicKey") }

function readProof(value: unknown): Proof {
  const proof = fields(value, "proof")
  const { mac, signature } = proof
  if (mac === undefined && signature === undefined) throw wrong("proof", "a mac or a signature", value)
  return {
    ...(mac === undefined ? {} : { mac: hex(proof, "mac", handshakeBytes.mac) }),
    ...(signature === undefined ? {} : { signature: hex(proof, "signature", handshakeBytes.signature) }),
  }
}
