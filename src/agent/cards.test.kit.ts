import type { KvLayout } from "../kv/kv-layout.ts"
import { type Card, cardVersion } from "../wire/card.ts"
import { type EndpointCard, type Grant, grantVersion } from "../wire/grant.ts"

const layout: KvLayout = {
  shape: { layers: 2, kvHeads: 4, headDim: 8, elementBytes: 4 },
  order: "head-major",
  blockTokens: 16,
  blocks: 8,
  firstHead: 0,
  heads: 4,
}

/** A card that fits every other one made here, but for what `changes` says. */
export function cardOf(
  agentId: string,
  changes: Partial<Card> & { readonly layoutChanges?: Partial<KvLayout> } = {},
): Card {
  const { layoutChanges, ...rest } = changes
  return {
    version: cardVersion,
    agentId,
    bootId: "0123456789abcdef".repeat(2),
    pid: 7,
    software: "test",
    model: "one",
    layout: { ...layout, ...layoutChanges },
    transports: ["imaginary"],
    ...rest,
  }
}

/** What a grant for `cardOf()`'s two layers says of its one fabric. */
export const endpointOf: EndpointCard = {
  address: { transport: "imaginary", host: "192.0.2.1" },
  regions: [
    { region: 0, length: 32_768, rkeys: [1], iova: 0 },
    { region: 1, length: 32_768, rkeys: [2], iova: 0 },
  ],
}

/** A read grant that fits `cardOf()`, but for what `changes` says. */
export function grantOf(changes: Partial<Grant> = {}): Grant {
  return {
    version: grantVersion,
    bootId: "0123456789abcdef".repeat(2),
    direction: "read",
    regions: [0, 1],
    expiresMillis: 60_000,
    endpoints: [endpointOf],
    ...changes,
  }
}
