import { KvError, type KvErrorRecord, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { type Fields, fields, hex, label, list, oneOf, text, whole } from "../../wire/fields.ts"

/**
 * What the two ends of a side channel say to each other: a TCP connection beside NIXL, one for each connection of ours.
 *
 * NIXL asks nobody whether a region is still open and tells nobody that a transfer has ended. So every transfer is
 * announced here before its first byte, and confirmed here after its last one.
 */

/** Listener → caller, at once. */
export interface Greeting {
  readonly version: number
  /** 32 fresh bytes, as hexadecimal digits. */
  readonly nonce: string
}

/** Caller → listener. */
export interface Hello {
  readonly session: string
  readonly nonce: string
  readonly proof: string
}

/** Listener → caller: its own proof. Everything below is said after this alone. */
export interface Welcome {
  readonly proof: string
  /** Name of the listener's NIXL agent. */
  readonly agent: string
}

/** A region by its id and its key. */
export type RegionKey = readonly [region: number, rkey: number]

/** Where a region of the listener lies, as its NIXL knows it. */
export interface Place {
  readonly region: number
  readonly rkey: number
  readonly address: number
  readonly byteLength: number
  /** NIXL's device number: ours is a fresh one for each registration. */
  readonly device: number
}

/** Places, and NIXL's metadata for those of them that this caller has none of yet. */
export interface Places {
  readonly places: readonly Place[]
  readonly metadata: Buffer | undefined
}

export type CallerMessage =
  /** How NIXL reaches the peer, and these regions of it: so that no transfer has to ask for that. */
  | { readonly type: "want"; readonly regions: readonly RegionKey[] }
  /** A move shall begin. */
  | {
      readonly type: "begin"
      readonly move: number
      readonly direction: "read" | "write"
      readonly regions: readonly RegionKey[]
    }
  /** A move that needs the listener's processor goes on. */
  | { readonly type: "step" }
  /** No byte of the move is under way any more. */
  | { readonly type: "end"; readonly move: number }

export type ListenerMessage =
  | ({ readonly type: "have"; readonly connection: Buffer } & Places)
  | ({ readonly type: "go"; readonly move: number } & Places)
  | { readonly type: "refused"; readonly move: number; readonly error: KvErrorRecord }
  /** The regions of the move were open until now; an error says which was not. */
  | { readonly type: "confirmed"; readonly move: number; readonly error: KvErrorRecord | undefined }
  /** Stop what touches this region: it is about to be closed. */
  | { readonly type: "closing"; readonly region: number; readonly rkey: number }
  /** The session ends: stop everything, and hang up. */
  | { readonly type: "bye"; readonly why: string }

export const sideVersion = 1
export const nonceBytes = 32
const proofBytes = 32
/** Regions that one message may name: a cache of 128 layers with keys and values apart, eight times over. */
const regionsMax = 2048
/** Metadata of NIXL in one message. UCX needs some 100 bytes for a region and a few kB for a machine with many NICs. */
const metadataBytesMax = 4 * 2 ** 20

export function readGreeting(from: unknown): Greeting {
  const found = fields(from, "greeting")
  return { version: whole(found, "version", 65_535), nonce: hex(found, "nonce", nonceBytes) }
}

export function readHello(from: unknown): Hello {
  const found = fields(from, "hello")
  return {
    session: hex(found, "session", 16),
    nonce: hex(found, "nonce", nonceBytes),
    proof: hex(found, "proof", proofBytes),
  }
}

/** @throws KvError KV_PEER_UNTRUSTED when the listener refused us. */
export function readWelcome(from: unknown): Welcome {
  const found = fields(from, "welcome")
  if (found["refused"] !== undefined) {
    throw new KvError("KV_PEER_UNTRUSTED", { what: "the peer's nixl endpoint does not know this session" })
  }
  return { proof: hex(found, "proof", proofBytes), agent: label(found, "agent", 64) }
}

export function readCallerMessage(from: unknown): CallerMessage {
  const found = fields(from, "message")
  const type = oneOf(found, "type", ["want", "begin", "step", "end"])
  if (type === "step") return { type }
  if (type === "want") return { type, regions: list(found, "regions", regionsMax, readKey) }
  const move = whole(found, "move")
  if (type === "end") return { type, move }
  const direction = oneOf(found, "direction", ["read", "write"])
  return { type, move, direction, regions: list(found, "regions", regionsMax, readKey) }
}

export function readListenerMessage(from: unknown): ListenerMessage {
  const found = fields(from, "message")
  const type = oneOf(found, "type", ["have", "go", "refused", "confirmed", "closing", "bye"])
  if (type === "have") return { type, connection: bytes(found, "connection"), ...readPlaces(found) }
  if (type === "bye") return { type, why: text(found, "why", 1000) }
  if (type === "closing") return { type, region: whole(found, "region"), rkey: whole(found, "rkey") }
  const move = whole(found, "move")
  if (type === "go") return { type, move, ...readPlaces(found) }
  const error = found["error"]
  const record = error === undefined ? undefined : kvErrorFromRecord(error, "KV_PEER_REFUSED").toJSON()
  if (type === "confirmed") return { type, move, error: record }
  return {
    type,
    move,
    error: record ?? { code: "KV_PEER_REFUSED", what: "the peer refused without a reason" },
  }
}

function readKey(entry: unknown): RegionKey {
  const pair = { ...(Array.isArray(entry) ? { region: entry[0], rkey: entry[1] } : {}) }
  return [whole(pair, "region", 2 ** 32 - 1), whole(pair, "rkey", 2 ** 32 - 1)]
}

function readPlaces(found: Fields): Places {
  return {
    places: list(found, "places", regionsMax, (entry) => {
      const place = fields(entry, "place")
      return {
        region: whole(place, "region", 2 ** 32 - 1),
        rkey: whole(place, "rkey", 2 ** 32 - 1),
        address: whole(place, "address"),
        byteLength: whole(place, "byteLength"),
        device: whole(place, "device"),
      }
    }),
    metadata: found["metadata"] === undefined ? undefined : bytes(found, "metadata"),
  }
}

/** Bytes travel as base64. */
function bytes(found: Fields, name: string): Buffer {
  return Buffer.from(text(found, name, Math.ceil((metadataBytesMax * 4) / 3)), "base64")
}
