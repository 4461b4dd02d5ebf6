import type { KvLayout } from "../kv/kv-layout.ts"
import type { Card } from "../wire/card.ts"

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
    agentId,
    bootId: "0123456789abcdef".repeat(2),
    pid: 7,
    software: "test",
    model: "one",
    layout: { ...layout, ...layoutChanges },
    endpoints: [
      {
        address: { transport: "imaginary", host: "192.0.2.1" },
        regions: [
          { region: 0, length: 32_768, rkeys: [1], iova: 0 },
          { region: 1, length: 32_768, rkeys: [2], iova: 0 },
        ],
      },
    ],
    ...rest,
  }
}
