import type { CacheShape } from "../driver/protocol.ts"

/** An agent as the judge's explanations know it. */
export interface KnownAgent {
  readonly name: string
  readonly cache: CacheShape
}

/** A byte of a region, by what it is in a paged cache. */
export interface CachePlace {
  readonly block: number
  readonly inBlock: number
  /** 0 the keys, 1 the values. */
  readonly plane: number
  readonly inPlane: number
  /** Of the whole model. */
  readonly head: number
  readonly inHead: number
  /** Of the block. */
  readonly token: number
}

export const rowBytes = (cache: CacheShape): number => cache.headDim * cache.elementBytes
export const headBytes = (cache: CacheShape): number => cache.blockTokens * rowBytes(cache)
export const planeBytes = (cache: CacheShape): number => cache.heads * headBytes(cache)
export const blockBytes = (cache: CacheShape): number => 2 * planeBytes(cache)
export const regionBytes = (cache: CacheShape): number => cache.blocks * blockBytes(cache)

/** What the byte at `offset` of a region is, head-major: `[blocks][keys, values][heads][tokens][row]`. */
export function cachePlace(cache: CacheShape, offset: number): CachePlace {
  const inBlock = offset % blockBytes(cache)
  const inPlane = inBlock % planeBytes(cache)
  const inHead = inPlane % headBytes(cache)
  return {
    block: Math.floor(offset / blockBytes(cache)),
    inBlock,
    plane: Math.floor(inBlock / planeBytes(cache)),
    inPlane,
    head: cache.firstHead + Math.floor(inPlane / headBytes(cache)),
    inHead,
    token: Math.floor(inHead / rowBytes(cache)),
  }
}

/** "layer 12 block 90 (values, head 3, byte 17 of the block)" */
export function placeText(cache: CacheShape, region: number, offset: number): string {
  const { block, inBlock, plane, head } = cachePlace(cache, offset)
  const detail = `${plane === 0 ? "keys" : "values"} of head ${head}, byte ${inBlock} of the block`
  return `layer ${region} block ${block} (${detail})`
}
