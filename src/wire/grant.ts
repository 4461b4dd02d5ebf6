import { layersMax, transportsMax, uint32Max } from "./card.ts"
import { type Fields, fields, hex, label, list, oneOf, whole, wrong } from "./fields.ts"

/** The version of the grant that this side writes, and the only one that it reads. */
export const grantVersion = 1

/** Which way bytes go, as the one who asks sees it: `read` pulls the granter's regions, `write` pushes into them. */
export type GrantDirection = "read" | "write"

/** What a peer may do with this side's memory, until when, and the addresses and keys that it needs for that. */
export interface Grant {
  readonly version: typeof grantVersion
  /** The life of the granter that this grant belongs to: another boot id, another grant. */
  readonly bootId: string
  readonly direction: GrantDirection
  /** The regions that are granted, in the granter's order. */
  readonly regions: readonly number[]
  /** Milliseconds from its sending after which it is void. A duration, because the two clocks differ. */
  readonly expiresMillis: number
  /** Each describes exactly `regions`, in their order. */
  readonly endpoints: readonly EndpointCard[]
}

/** One fabric of an agent: its address, and a descriptor for each region that is granted. */
export interface EndpointCard {
  readonly address: {
    readonly transport: string
    readonly [field: string]: string | number | readonly (string | number)[]
  }
  readonly regions: readonly {
    readonly region: number
    readonly length: number
    readonly rkeys: readonly number[]
    readonly iova: number
  }[]
}

/** A region for each layer, and one for the epochs. */
export const grantRegionsMax = layersMax + 1
/** Longest life of a grant: a day. */
export const grantMillisMax = 86_400_000
const railsMax = 64
const addressFieldsMax = 16

/** Reads a grant that came over the wire. @throws KvError KV_WIRE_INVALID. */
export function readGrant(value: unknown): Grant {
  const grant = fields(value, "grant")
  const version = whole(grant, "version")
  if (version !== grantVersion) throw wrong("grant version", String(grantVersion), version)
  const regions = list(grant, "regions", grantRegionsMax, (region) => whole({ region }, "region", uint32Max))
  if (regions.length === 0 || new Set(regions).size !== regions.length)
    throw wrong("regions", "different regions, at least one", regions)
  const expiresMillis = whole(grant, "expiresMillis", grantMillisMax)
  if (expiresMillis === 0) throw wrong("expiresMillis", "at least 1", expiresMillis)
  return {
    version,
    bootId: hex(grant, "bootId", 16),
    direction: oneOf(grant, "direction", ["read", "write"]),
    regions,
    expiresMillis,
    endpoints: list(grant, "endpoints", transportsMax, (endpoint) => readEndpoint(endpoint, regions)),
  }
}

function readEndpoint(value: unknown, granted: readonly number[]): EndpointCard {
  const endpoint = fields(value, "endpoint")
  const regions = list(endpoint, "regions", grantRegionsMax, (entry) => {
    const region = fields(entry, "region")
    return {
      region: whole(region, "region", uint32Max),
      length: whole(region, "length"),
      rkeys: readKeys(region),
      iova: whole(region, "iova"),
    }
  })
  if (regions.length !== granted.length || regions.some(({ region }, at) => region !== granted[at]))
    throw wrong(
      "endpoint",
      "about the granted regions",
      regions.map(({ region }) => region),
    )
  return { address: readAddress(endpoint["address"]), regions }
}

function readKeys(region: Fields): number[] {
  const rkeys = list(region, "rkeys", railsMax, (rkey) => whole({ rkey }, "rkey", uint32Max))
  if (rkeys.length === 0) throw wrong("rkeys", "one key for each rail", rkeys)
  return rkeys
}

/** An address is flat: texts, numbers, and short lists of them. What they mean is the fabric's business. */
function readAddress(value: unknown): EndpointCard["address"] {
  const address = fields(value, "address")
  const entries = Object.entries(address)
  if (entries.length > addressFieldsMax) throw wrong("address", "few fields", entries.length)
  const read: Record<string, string | number | (string | number)[]> = {}
  for (const [name, field] of entries) {
    if (!/^[a-zA-Z][a-zA-Z0-9]{0,31}$/.test(name) || name in Object.prototype)
      throw wrong("address field", "a plain name", name)
    read[name] = Array.isArray(field) ? list(address, name, railsMax, plain) : plain(field)
  }
  return { ...read, transport: label(address, "transport", 32) }
}

function plain(part: unknown): string | number {
  if (typeof part === "string" && part.length <= 256) return part
  if (typeof part === "number" && Number.isFinite(part)) return part === 0 ? 0 : part
  throw wrong("address", "text or numbers", part)
}
