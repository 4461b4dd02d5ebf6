import { checkedLayout, type KvLayout } from "../kv/kv-layout.ts"
import { type Fields, fields, hex, list, text, whole, wrong } from "./fields.ts"

/** What an agent publishes of itself, to peers that have authenticated. */
export interface Card {
  readonly agentId: string
  /** 16 random bytes in hexadecimal, new at each start. */
  readonly bootId: string
  readonly pid: number
  /** Version of the package, for the reader of a log. */
  readonly software: string
  /** Hash over the model's configuration and weights. */
  readonly model: string
  readonly layout: KvLayout
  readonly endpoints: readonly EndpointCard[]
}

/** One fabric of an agent: its address, and a descriptor for each layer's region. */
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

const layersMax = 1024
const railsMax = 64
/** Plans and frames have 32 bits for the number of a region and for a key. */
const uint32Max = 2 ** 32 - 1

/** Reads a card that came over the wire. @throws KvError KV_WIRE_INVALID, KV_PLAN_IMPOSSIBLE. */
export function readCard(value: unknown): Card {
  const card = fields(value, "card")
  return {
    agentId: text(card, "agentId", 128),
    bootId: hex(card, "bootId", 16),
    pid: whole(card, "pid"),
    software: text(card, "software", 64),
    model: text(card, "model", 128),
    layout: readLayout(card["layout"]),
    endpoints: list(card, "endpoints", 16, readEndpoint),
  }
}

function readLayout(value: unknown): KvLayout {
  const layout = fields(value, "layout")
  const shape = fields(layout["shape"], "shape")
  const order = text(layout, "order", 16)
  if (order !== "head-major" && order !== "token-major")
    throw wrong("order", "head-major or token-major", order)
  return checkedLayout({
    shape: {
      layers: whole(shape, "layers", layersMax),
      kvHeads: whole(shape, "kvHeads"),
      headDim: whole(shape, "headDim"),
      elementBytes: whole(shape, "elementBytes", 8),
    },
    order,
    blockTokens: whole(layout, "blockTokens"),
    blocks: whole(layout, "blocks"),
    firstHead: whole(layout, "firstHead"),
    heads: whole(layout, "heads"),
  })
}

function readEndpoint(value: unknown): EndpointCard {
  const endpoint = fields(value, "endpoint")
  return {
    address: readAddress(endpoint["address"]),
    regions: list(endpoint, "regions", layersMax, (entry) => {
      const region = fields(entry, "region")
      return {
        region: whole(region, "region", uint32Max),
        length: whole(region, "length"),
        rkeys: readKeys(region),
        iova: whole(region, "iova"),
      }
    }),
  }
}

function readKeys(region: Fields): number[] {
  const rkeys = list(region, "rkeys", railsMax, (rkey) => whole({ rkey }, "rkey", uint32Max))
  if (rkeys.length === 0) throw wrong("rkeys", "one key for each rail", rkeys)
  return rkeys
}

function readAddress(value: unknown): EndpointCard["address"] {
  const address = fields(value, "address")
  for (const [name, field] of Object.entries(address)) {
    for (const part of Array.isArray(field) ? field : [field]) {
      const plain = typeof part === "number" || (typeof part === "string" && part.length <= 256)
      if (!plain) throw wrong(`address ${name.slice(0, 32)}`, "text or numbers", part)
    }
    if (Array.isArray(field) && field.length > railsMax)
      throw wrong(`address ${name.slice(0, 32)}`, "short", field)
  }
  return { ...(address as Fields & EndpointCard["address"]), transport: text(address, "transport", 32) }
}
