import { xxh64 } from "@node-rs/xxhash"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type { RailHashes } from "./rail-pieces.ts"

/**
 * Hashes the units of all pieces before piece `landed`, while their bytes are still in the cache.
 *
 * @param from the first unit that was not hashed yet.
 * @returns the first unit that was not hashed now.
 */
export function hashLanded(
  hashes: RailHashes,
  from: number,
  landed: number,
  spanOf: (region: number) => MemorySpan,
): number {
  let at = from
  for (; at < hashes.piece.length && hashes.piece[at]! < landed; at++) {
    const content = spanOf(hashes.region[at]!).view(hashes.offset[at]!, hashes.length[at]!)
    hashes.results[hashes.unit[at]!] = xxh64(content, hashes.seed[at]!)
  }
  return at
}
