import type { KvErrorRecord } from "../errors/kv-error.ts"
import { type IntegrityLevel, integrityLevels } from "../receipt/receipt.ts"
import { type Fields, fields, hex, list, oneOf, text, whole, wrong } from "./fields.ts"
import { type Grant, type GrantDirection, readGrant } from "./grant.ts"
import { type HandshakeMessage, isHandshakeType, readHandshakeMessage } from "./handshake-messages.ts"

/**
 * What two agents say to each other.
 *
 * First the handshake. Then the caller asks for a grant, claims leases, proves what landed and gives them back.
 * A message with a `call` is answered by one with the same number; `notify` is not answered.
 */
export type ControlMessage = HandshakeMessage | CallMessage | AnswerMessage | NotifyMessage

/** What a caller asks. */
export type CallMessage =
  | { readonly type: "ask-grant"; readonly call: number; readonly direction: GrantDirection }
  | { readonly type: "claim"; readonly call: number; readonly lease: string }
  | { readonly type: "seals"; readonly call: number; readonly lease: string }
  /** A writer says that its bytes are in place; the attachment has its hashes. */
  | {
      readonly type: "landed"
      readonly call: number
      readonly lease: string
      readonly tokens: number
      readonly level: IntegrityLevel
      readonly note?: string
    }
  /** A heartbeat for leases that are still read. */
  | { readonly type: "renew"; readonly call: number; readonly leases: readonly string[] }
  /** A `note` reaches the owner with the end of the lease. */
  | { readonly type: "release"; readonly call: number; readonly lease: string; readonly note?: string }

/** What a listener answers. */
export type AnswerMessage =
  | { readonly type: "grant"; readonly call: number; readonly grant: Grant }
  | {
      readonly type: "granted"
      readonly call: number
      readonly tokens: number
      readonly blocks: readonly number[]
      /** The epoch of each block, at the moment of the claim: `epochs[i]` belongs to `blocks[i]`. */
      readonly epochs: readonly number[]
      readonly access: GrantDirection
      /** The lease ends when its holder has been silent for that long. */
      readonly holdMillis: number
    }
  /** The attachment has the hashes, one for each layer and each run of `unitTokens` tokens. */
  | { readonly type: "sealed"; readonly call: number; readonly unitTokens: number }
  /** `checked` hashes were compared, and all were the writer's. */
  | { readonly type: "proven"; readonly call: number; readonly checked: number }
  /** The leases of a `renew` that are not in force any more. */
  | { readonly type: "renewed"; readonly call: number; readonly ended: readonly string[] }
  | { readonly type: "released"; readonly call: number }
  | { readonly type: "refused"; readonly call: number; readonly error: KvErrorRecord }

/** A word from the peer's owner to ours, with an attachment if it likes. Either side may send it. */
export interface NotifyMessage {
  readonly type: "notify"
  readonly text: string
}

export type ControlMessageOf<Type extends ControlMessage["type"]> = Extract<ControlMessage, { type: Type }>

/** Call number of a refusal that answers no call: the handshake itself was refused. */
export const noCall = 0

/** Limits of what a message may carry. Characters are UTF-16 units. */
export const messageLimits = {
  /** Characters of each text of an error. */
  errorText: 2000,
  /** Blocks of one claim. */
  blocks: 2 ** 17,
  /** Leases of one `renew`. */
  leases: 4096,
  /** Characters of a notification, and of the note of a release. */
  note: 4096,
} as const

const tokensMax = 2 ** 31
const uint32Max = 2 ** 32 - 1
const holdMillisMax = 86_400_000

/** Reads a message that came over the wire. @throws KvError KV_WIRE_INVALID. */
export function readControlMessage(body: unknown): ControlMessage {
  const message = fields(body, "message")
  const type = text(message, "type", 32)
  if (isHandshakeType(type)) return readHandshakeMessage(type, message)
  if (type === "notify") return { type, text: text(message, "text", messageLimits.note) }
  const call = whole(message, "call")
  const lease = (): string => hex(message, "lease", 16)
  const leases = (name: string): string[] =>
    list(message, name, messageLimits.leases, (entry) => hex({ lease: entry }, "lease", 16))
  switch (type) {
    case "ask-grant":
      return { type, call, direction: oneOf(message, "direction", ["read", "write"]) }
    case "grant":
      return { type, call, grant: readGrant(message["grant"]) }
    case "claim":
    case "seals":
      return { type, call, lease: lease() }
    case "granted":
      return { type, call, ...readGranted(message) }
    case "sealed":
      return { type, call, unitTokens: whole(message, "unitTokens", uint32Max) }
    case "landed":
      return {
        type,
        call,
        lease: lease(),
        tokens: whole(message, "tokens", tokensMax),
        level: oneOf(message, "level", integrityLevels),
        ...readNote(message),
      }
    case "proven":
      return { type, call, checked: whole(message, "checked") }
    case "renew":
      return { type, call, leases: leases("leases") }
    case "renewed":
      return { type, call, ended: leases("ended") }
    case "release":
      return { type, call, lease: lease(), ...readNote(message) }
    case "released":
      return { type, call }
    case "refused":
      return { type, call, error: readError(message["error"]) }
    default:
      throw wrong("type", "a message we know", type)
  }
}

const readNote = (message: Fields): { note?: string } =>
  message["note"] === undefined ? {} : { note: text(message, "note", messageLimits.note) }

function readGranted(message: Fields) {
  const numbers = (name: string): number[] =>
    list(message, name, messageLimits.blocks, (entry) => whole({ entry }, "entry", uint32Max))
  const [blocks, epochs] = [numbers("blocks"), numbers("epochs")]
  if (epochs.length !== blocks.length) throw wrong("epochs", `${blocks.length} numbers`, epochs.length)
  return {
    tokens: whole(message, "tokens", tokensMax),
    blocks,
    epochs,
    access: oneOf(message, "access", ["read", "write"]),
    holdMillis: whole(message, "holdMillis", holdMillisMax),
  }
}

function readError(value: unknown): KvErrorRecord {
  const error = fields(value, "error")
  const words = (name: string): string => text(error, name, messageLimits.errorText)
  const record = { code: text(error, "code", 64), what: words("what") }
  // The code is checked where the error is rebuilt: an unknown one of a newer peer becomes a general one.
  return {
    ...(record as Pick<KvErrorRecord, "code" | "what">),
    ...(typeof error["why"] === "string" ? { why: words("why") } : {}),
    ...(typeof error["next"] === "string" ? { next: words("next") } : {}),
  }
}
