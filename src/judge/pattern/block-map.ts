import type { BlockMap } from "../verify-document.ts"
import { blockBytes, type KnownAgent } from "./cache-places.ts"
import type { Cause } from "./causes.ts"
import type { RegionView, Segment } from "./classify.ts"

const letters: Partial<Record<Cause, string>> = {
  zeros: "z",
  "base-address": "b",
  "base-address-written": "b",
  stale: "s",
  unknown: "?",
  "bit-flip": "?",
  outside: "!",
  "after-end": "!",
  "source-changed": "!",
}

/** One letter for each block of a region that was not as it should be: the cause of most of the block's wrong bytes. */
export function blockMap(agent: KnownAgent, view: RegionView, segments: readonly Segment[]): BlockMap {
  const size = blockBytes(agent.cache)
  const letterOf = Array.from({ length: agent.cache.blocks }, () => ".")
  for (const { targetOffset, length } of view.runs) {
    for (let block = Math.floor(targetOffset / size); block * size < targetOffset + length; block++)
      letterOf[block] = "o"
  }
  const most = new Map<number, number>()
  for (const { start, end, cause } of segments) {
    for (let block = Math.floor(start / size); block * size < end; block++) {
      const bytes = Math.min(end, (block + 1) * size) - Math.max(start, block * size)
      if (bytes <= (most.get(block) ?? 0)) continue
      most.set(block, bytes)
      letterOf[block] = letters[cause] ?? (isLost(cause) ? "p" : "x")
    }
  }
  return { agent: agent.name, layer: view.region, blocks: letterOf.join("") }
}

const isLost = (cause: Cause): boolean => cause.startsWith("lost-") || cause === "nothing-moved"
