import type { KvErrorCode } from "../../errors/codes.ts"
import { isKvErrorCode } from "../../errors/kv-error.ts"
import { type Fields, fields, hex, list, oneOf, text, whole, wrong } from "../../wire/fields.ts"
import type { Rights } from "../transport.ts"
import type { Plain, RailCard } from "./driver.ts"

/** What the two ends of an RDMA connection say to each other beside its lanes. C asks, L answers. */
export type SideMessage =
  /** L: fresh random bytes, which C's proof must cover. */
  | { readonly type: "greeting"; readonly version: number; readonly nonce: string }
  | { readonly type: "hello"; readonly session: string; readonly nonce: string; readonly proof: string }
  | { readonly type: "refused" }
  | {
      readonly type: "welcome"
      readonly proof: string
      readonly rights: Rights
      readonly rails: readonly RailCard[]
      readonly partBytes: number
    }
  /** C: its end of some lanes. A place that was taken before is mended: the old lane there is gone. */
  | { readonly type: "open"; readonly call: number; readonly lanes: readonly AskedLane[] }
  /** L: its own ends of them, in their order; or why it has none. */
  | { readonly type: "opened"; readonly call: number; readonly ends: readonly Plain[] }
  | { readonly type: "not-opened"; readonly call: number; readonly why: string }
  /** L: what is open to C from here on, where the fabric itself does not say what it refuses. */
  | { readonly type: "regions"; readonly regions: readonly OpenRegion[] }
  /** L: a region is about to be closed. C ends its transfers over it, and answers. */
  | { readonly type: "closing"; readonly call: number; readonly region: number }
  | { readonly type: "left"; readonly call: number }
  /** C: what was wrong with a request that the NIC of L refused. */
  | ({ readonly type: "why" } & RefusedRequest)
  | {
      readonly type: "because"
      readonly call: number
      readonly code: KvErrorCode
      readonly what: string
    }

/** A region of L as C may use it. */
export interface OpenRegion {
  readonly region: number
  readonly length: number
  readonly iova: number
  readonly rkeys: readonly number[]
  readonly rights: Rights
}

/** One lane that C asks for. */
export interface AskedLane {
  readonly place: number
  /** L's number for its rail. */
  readonly rail: number
  readonly end: Plain
}

/** A request as its answerer must know it to say why its NIC refused it. */
export interface RefusedRequest {
  readonly call: number
  readonly direction: "read" | "write"
  readonly region: number
  readonly rail: number
  readonly part: number
  readonly key: number
  readonly offset: number
  readonly length: number
}

export const sideVersion = 1
export const nonceBytes = 16
const proofBytes = 32
export const lanesMax = 64
const railsMax = 64
/** Regions in one message: more go into the next. */
export const regionsMax = 256
const keysMax = 4096
const plainFieldsMax = 16
const uint32Max = 2 ** 32 - 1

/** Reads a message of the peer. @throws KvError KV_WIRE_INVALID. */
export function readSideMessage(value: unknown): SideMessage {
  const message = fields(value, "message")
  const type = text(message, "type", 32)
  const call = (): number => whole(message, "call", uint32Max)
  switch (type) {
    case "greeting":
      return { type, version: whole(message, "version", 1000), nonce: hex(message, "nonce", nonceBytes) }
    case "hello":
      return {
        type,
        session: hex(message, "session", 16),
        nonce: hex(message, "nonce", nonceBytes),
        proof: hex(message, "proof", proofBytes),
      }
    case "refused":
      return { type }
    case "welcome":
      return {
        type,
        proof: hex(message, "proof", proofBytes),
        rights: readRights(message["rights"]),
        rails: list(message, "rails", railsMax, readCard),
        partBytes: readPartBytes(message),
      }
    case "open":
      return { type, call: call(), lanes: list(message, "lanes", lanesMax, readLane) }
    case "opened":
      return { type, call: call(), ends: list(message, "ends", lanesMax, readPlain) }
    case "not-opened":
      return { type, call: call(), why: text(message, "why", 1000) }
    case "regions":
      return { type, regions: list(message, "regions", regionsMax, readRegion) }
    case "closing":
      return { type, call: call(), region: whole(message, "region", uint32Max) }
    case "left":
      return { type, call: call() }
    case "why":
      return {
        type,
        call: call(),
        direction: oneOf(message, "direction", ["read", "write"]),
        region: whole(message, "region", uint32Max),
        rail: whole(message, "rail", railsMax),
        part: whole(message, "part", uint32Max),
        key: whole(message, "key", uint32Max),
        offset: whole(message, "offset"),
        length: whole(message, "length", uint32Max),
      }
    case "because": {
      const { code } = message
      if (!isKvErrorCode(code)) throw wrong("code", "one of ours", code)
      return { type, call: call(), code, what: text(message, "what", 1000) }
    }
    default:
      throw wrong("type", "a message of this version", type)
  }
}

function readRights(value: unknown): Rights {
  const { read, write } = fields(value, "rights")
  if (typeof read !== "boolean" || typeof write !== "boolean") throw wrong("rights", "two booleans", value)
  return { read, write }
}

function readRegion(value: unknown): OpenRegion {
  const region = fields(value, "region")
  return {
    region: whole(region, "region", uint32Max),
    length: whole(region, "length"),
    iova: whole(region, "iova"),
    rkeys: list(region, "rkeys", keysMax, (rkey) => whole({ rkey }, "rkey", uint32Max)),
    rights: readRights(region["rights"]),
  }
}

function readPartBytes(message: Fields): number {
  const partBytes = whole(message, "partBytes")
  if (partBytes === 0) throw wrong("partBytes", "at least 1", partBytes)
  return partBytes
}

function readLane(value: unknown): AskedLane {
  const lane = fields(value, "lane")
  return {
    place: whole(lane, "place", lanesMax - 1),
    rail: whole(lane, "rail", railsMax),
    end: readPlain(lane["end"]),
  }
}

function readCard(value: unknown): RailCard {
  const { device, link, network, rate } = fields(value, "rail")
  const card = readPlain(value)
  const good =
    typeof device === "string" &&
    typeof link === "string" &&
    typeof network === "string" &&
    typeof rate === "number" &&
    rate > 0
  if (!good) throw wrong("rail", "a device with its link, network and rate", value)
  return { ...card, device, link, network, rate }
}

/** A flat object of short texts and numbers; what they mean is the fabric's business. */
function readPlain(value: unknown): Plain {
  const plain = fields(value, "end")
  const entries = Object.entries(plain)
  if (entries.length > plainFieldsMax) throw wrong("end", "few fields", entries.length)
  const read: Record<string, string | number> = {}
  for (const [name, field] of entries) {
    if (!/^[a-zA-Z][a-zA-Z0-9]{0,31}$/.test(name) || name in Object.prototype)
      throw wrong("field", "a plain name", name)
    const good =
      typeof field === "number"
        ? Number.isFinite(field)
        : typeof field === "string" && /^[\x20-\x7e]{0,256}$/.test(field)
    if (!good) throw wrong(name, "a number or a short text", field)
    read[name] = field as string | number
  }
  return read
}
