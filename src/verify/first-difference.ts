import type { Difference } from "../receipt/receipt.ts"

/** The first (layer, block position) whose hashes differ, layer by layer; undefined when all are equal. */
export function firstDifferentBlock(
  expected: BigUint64Array,
  found: BigUint64Array,
  positions: number,
): Difference | undefined {
  const count = Math.max(expected.length, found.length)
  for (let i = 0; i < count; i++) {
    if (expected[i] !== found[i]) return { layer: Math.floor(i / positions), block: i % positions }
  }
  return undefined
}

/** The first (layer, block position, head, plane) whose hashes differ. Missing entries differ. */
export function firstDifferentHead(
  expected: readonly (readonly (readonly string[])[])[],
  found: readonly (readonly (readonly string[])[])[],
): Difference | undefined {
  for (let layer = 0; layer < Math.max(expected.length, found.length); layer++) {
    const positions = Math.max(expected[layer]?.length ?? 0, found[layer]?.length ?? 0)
    for (let block = 0; block < positions; block++) {
      const wanted = expected[layer]?.[block] ?? []
      const got = found[layer]?.[block] ?? []
      for (let i = 0; i < Math.max(wanted.length, got.length); i++) {
        if (wanted[i] === got[i]) continue
        return { layer, block, head: Math.floor(i / 2), plane: i % 2 === 0 ? "key" : "value" }
      }
    }
  }
  return undefined
}
