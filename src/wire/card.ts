import { KvError } from "../errors/kv-error.ts"
import { checkedLayout, type KvLayout } from "../kv/kv-layout.ts"
import { fields, hex, label, list, oneOf, whole, wrong } from "./fields.ts"

/** The version of the card that this side writes, and the only one that it reads. */
export const cardVersion = 2

/**
 * What an agent tells of itself to a peer that has authenticated: who it is, and how its cache is laid out.
 *
 * No address and no key: those are in a grant, which the peer must ask for.
 */
export interface Card {
  readonly version: typeof cardVersion
  readonly agentId: string
  /** 16 random bytes in hexadecimal, new at each start. */
  readonly bootId: string
  readonly pid: number
  /** Version of the package, for the reader of a log. */
  readonly software: string
  /** Hash over the model's configuration and weights. */
  readonly model: string
  readonly layout: KvLayout
  /** Names of the fabrics that are open, best first. Their addresses are in the grant. */
  readonly transports: readonly string[]
  /** The region whose u32 at index b is the epoch of block b; left out when the epochs cannot be read one-sided. */
  readonly epochs?: { readonly region: number }
}

/** What a side without a cache shows in the place of one: a card has a layout. */
export const noCacheLayout: KvLayout = {
  shape: { layers: 1, kvHeads: 1, headDim: 1, elementBytes: 1 },
  order: "head-major",
  blockTokens: 1,
  blocks: 1,
  firstHead: 0,
  heads: 1,
}

/** Layers of a cache. */
export const layersMax = 1024
/** Fabrics of one agent. */
export const transportsMax = 16
/** Plans and frames have 32 bits for the number of a region and for a key. */
export const uint32Max = 2 ** 32 - 1

/** Reads a card that came over the wire. @throws KvError KV_WIRE_INVALID. */
export function readCard(value: unknown): Card {
  const card = fields(value, "card")
  const version = whole(card, "version")
  if (version !== cardVersion) throw wrong("card version", String(cardVersion), version)
  return {
    version,
    agentId: label(card, "agentId", 128),
    bootId: hex(card, "bootId", 16),
    pid: whole(card, "pid"),
    software: label(card, "software", 64),
    model: label(card, "model", 128),
    layout: readLayout(card["layout"]),
    transports: list(card, "transports", transportsMax, (name) => label({ name }, "name", 32)),
    ...(card["epochs"] === undefined
      ? {}
      : { epochs: { region: whole(fields(card["epochs"], "epochs"), "region", uint32Max) } }),
  }
}

function readLayout(value: unknown): KvLayout {
  const layout = fields(value, "layout")
  const shape = fields(layout["shape"], "shape")
  const read: KvLayout = {
    shape: {
      layers: whole(shape, "layers", layersMax),
      kvHeads: whole(shape, "kvHeads"),
      headDim: whole(shape, "headDim"),
      elementBytes: whole(shape, "elementBytes", 8),
    },
    order: oneOf(layout, "order", ["head-major", "token-major"]),
    blockTokens: whole(layout, "blockTokens"),
    blocks: whole(layout, "blocks"),
    firstHead: whole(layout, "firstHead"),
    heads: whole(layout, "heads"),
  }
  try {
    return checkedLayout(read)
  } catch (thrown) {
    if (!(thrown instanceof KvError)) throw thrown
    throw new KvError("KV_WIRE_INVALID", { what: `the peer's layout: ${thrown.what}`, cause: thrown })
  }
}
