import { KvError } from "../../errors/kv-error.ts"
import { countText, sizeText } from "../../terminal/units.ts"
import { dealLoad, regionBytesOf } from "./deal-load.ts"
import { firstDataBlock, type LoadRequest } from "./load-request.ts"

/** What is left to the machine, and to the pages that are cached. */
const shareOfAvailable = 0.7
/** An engine's process without its pool: Node or Python with libraries. */
const processBytes = 80 * 2 ** 20
/** The longest region whose words can all be told apart. */
const regionBytesMax = 2 ** 30

/** Bytes that the pools of a load take: every engine has its own, on every agent. */
export function poolBytesOf(request: LoadRequest): number {
  const { agents } = dealLoad(request)
  const each = agents.reduce((sum, { cache }) => sum + regionBytesOf(cache) * cache.layers, 0)
  return each * request.engines.length
}

/**
 * Scales the pool down to what the machine has, and says so; what moves stays the same.
 * @param available bytes that can be taken without pushing anything out.
 * @throws KvError KV_LIMIT when not even the blocks that move fit.
 */
export function fitMemory(request: LoadRequest, available: number): LoadRequest {
  const wanted = request.numBlocks
  const agents = dealLoad(request).agents
  const room = available * shareOfAvailable - processBytes * agents.length * request.engines.length
  const perBlock = poolBytesOf(request) / wanted
  const regionBlockBytes = Math.max(...agents.map(({ cache }) => regionBytesOf(cache))) / wanted
  const possible = Math.min(Math.floor(room / perBlock), Math.floor(regionBytesMax / regionBlockBytes))
  if (possible >= wanted) return request
  const pairs = Math.max(request.prefillEngines, request.decodeEngines)
  const needed = firstDataBlock + request.blocks * Math.ceil(pairs / request.decodeEngines)
  if (possible < needed) {
    throw new KvError("KV_LIMIT", {
      what: `the pools of this load need ${sizeText(perBlock * needed)}, and ${sizeText(Math.max(0, room))} can be used here`,
      why: `${agents.length} agents of ${countText(request.engines.length, "engine")}, ${countText(request.layers, "layer")}, ${needed} blocks at least`,
      next: "take fewer --num-layers, --blocks or --engines, or a smaller --block-size",
    })
  }
  const why =
    Math.floor(room / perBlock) < wanted
      ? `${sizeText(perBlock * wanted)} would be needed, ${sizeText(room)} can be used`
      : `a layer's region has at most ${sizeText(regionBytesMax)}`
  const note = `the pool has ${possible} blocks in place of ${wanted}: ${why}`
  return { ...request, numBlocks: possible, notes: [...request.notes, note] }
}
