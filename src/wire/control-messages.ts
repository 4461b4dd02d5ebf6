import type { KvErrorRecord } from "../errors/kv-error.ts"
import { type Card, readCard } from "./card.ts"
import { fields, hex, list, text, whole, wrong } from "./fields.ts"

/**
 * What two agents say to each other.
 *
 * Caller and listener first prove that they know one secret: `hello`, `challenge`, `proof`, `welcome`, `present`.
 * Cards, with addresses and keys, cross only after the proofs. Then the caller claims leases and gives them back.
 */
export type ControlMessage =
  | { readonly type: "hello"; readonly agentId: string; readonly bootId: string; readonly nonce: string }
  | { readonly type: "challenge"; readonly nonce: string }
  | { readonly type: "proof"; readonly proof: string }
  | { readonly type: "welcome"; readonly proof: string; readonly card: Card }
  | { readonly type: "present"; readonly card: Card }
  | { readonly type: "claim"; readonly call: number; readonly lease: string }
  | {
      readonly type: "granted"
      readonly call: number
      readonly tokens: number
      readonly blocks: readonly number[]
    }
  | { readonly type: "release"; readonly call: number; readonly lease: string }
  | { readonly type: "released"; readonly call: number }
  | { readonly type: "refused"; readonly call: number; readonly error: KvErrorRecord }

export type ControlMessageOf<Type extends ControlMessage["type"]> = Extract<ControlMessage, { type: Type }>

/** Bytes of a nonce and of a proof. */
export const handshakeBytes = { nonce: 32, proof: 32 } as const
/** Call number of a refusal that answers no call: the handshake itself was refused. */
export const noCall = 0

/** Characters of each text of an error. */
export const errorTextMax = 2000

const blocksMax = 2 ** 17

/** Reads a message that came over the wire. @throws KvError KV_WIRE_INVALID. */
export function readControlMessage(body: unknown): ControlMessage {
  const message = fields(body, "message")
  const type = text(message, "type", 32)
  switch (type) {
    case "hello":
      return {
        type,
        agentId: text(message, "agentId", 128),
        bootId: hex(message, "bootId", 16),
        nonce: hex(message, "nonce", handshakeBytes.nonce),
      }
    case "challenge":
      return { type, nonce: hex(message, "nonce", handshakeBytes.nonce) }
    case "proof":
      return { type, proof: hex(message, "proof", handshakeBytes.proof) }
    case "welcome":
      return { type, proof: hex(message, "proof", handshakeBytes.proof), card: readCard(message["card"]) }
    case "present":
      return { type, card: readCard(message["card"]) }
    case "claim":
      return { type, call: whole(message, "call"), lease: hex(message, "lease", 16) }
    case "granted":
      return {
        type,
        call: whole(message, "call"),
        tokens: whole(message, "tokens", 2 ** 31),
        blocks: list(message, "blocks", blocksMax, (block) => whole({ block }, "block", 2 ** 32 - 1)),
      }
    case "release":
      return { type, call: whole(message, "call"), lease: hex(message, "lease", 16) }
    case "released":
      return { type, call: whole(message, "call") }
    case "refused":
      return { type, call: whole(message, "call"), error: readError(message["error"]) }
    default:
      throw wrong("type", "a message we know", type)
  }
}

function readError(value: unknown): KvErrorRecord {
  const error = fields(value, "error")
  const record = { code: text(error, "code", 64), what: text(error, "what", errorTextMax) }
  // The code is checked where the error is rebuilt: an unknown one of a newer peer becomes a general one.
  return {
    ...(record as Pick<KvErrorRecord, "code" | "what">),
    ...(typeof error["why"] === "string" ? { why: text(error, "why", errorTextMax) } : {}),
    ...(typeof error["next"] === "string" ? { next: text(error, "next", errorTextMax) } : {}),
  }
}
