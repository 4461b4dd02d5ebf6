import { KvError } from "../../errors/kv-error.ts"
import type { KvShape } from "../../kv/kv-layout.ts"
import { countText } from "../../terminal/units.ts"

/** A paged cache whose blocks have a given size on a prefill rank: what its heads, tokens and numbers are. */
export interface CacheGeometry {
  readonly shape: Omit<KvShape, "layers">
  readonly blockTokens: number
}

/** Heads of a model where nothing else decides: those of Llama 3.1 8B. */
const headsPreferred = 8
/** Keys and values. */
const planes = 2
/** Words of the pattern: no piece is shorter. */
const wordBytes = 8

/**
 * Finds heads, tokens and numbers for blocks of `blockBytes` on each of `prefillTp` ranks, so that also `decodeTp` ranks can
 * share the heads. 64 KiB with one rank is 16 tokens of 8 heads of 128 numbers of 2 bytes, keys and values.
 * @throws KvError KV_USAGE when no heads fit.
 */
export function geometryOf(blockBytes: number, prefillTp: number, decodeTp: number): CacheGeometry {
  const common = leastCommonMultiple(prefillTp, decodeTp)
  const candidates = [common * Math.max(1, Math.floor(headsPreferred / common)), common]
  for (const kvHeads of candidates) {
    const headBytes = (blockBytes * prefillTp) / (planes * kvHeads)
    if (Number.isSafeInteger(headBytes) && headBytes % wordBytes === 0) return split(headBytes, kvHeads)
  }
  const step = (planes * common * wordBytes) / prefillTp
  throw new KvError("KV_USAGE", {
    what: `blocks of ${blockBytes} bytes cannot be shared by ${countText(prefillTp, "prefill rank")} and ${countText(decodeTp, "decode rank")}`,
    why: `a block has keys and values of ${countText(common, "head")} at least, each of whole words of ${wordBytes} bytes`,
    next: `take a multiple of ${Math.max(step, 1)} bytes`,
  })
}

function split(headBytes: number, kvHeads: number): CacheGeometry {
  const elementBytes = 2
  const numbers = headBytes / elementBytes
  const blockTokens = [16, 8, 4, 2, 1].find((tokens) => numbers % tokens === 0)!
  return { shape: { kvHeads, headDim: numbers / blockTokens, elementBytes }, blockTokens }
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b]
  while (y > 0) [x, y] = [y, x % y]
  return (a / x) * b
}
