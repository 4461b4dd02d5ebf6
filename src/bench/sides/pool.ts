import type { MemorySpan } from "../../memory/host-memory.ts"
import { mapAnonymous } from "../../os/anonymous-memory.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { blockBytes, type PoolShape } from "../job.ts"

/**
 * What the pools of a phase are made of: memory files, which another process can map, or private memory, as an
 * application takes it, on pages of 4 KiB or of 2 MiB.
 */
export type PageKind = "memory files" | "4 KiB pages" | "2 MiB pages"

/** The memory of one side: one region for each layer. */
export interface BenchPool {
  readonly spans: readonly MemorySpan[]
  /** The memory file of each region; empty where there are none. */
  readonly files: readonly number[]
}

/** @throws KvError KV_OS when the machine has not that much memory. */
export function openPool({ layers, blocks }: PoolShape, pages: PageKind): BenchPool {
  const bytes = blocks * blockBytes
  const names = Array.from({ length: layers }, (_, layer) => `layer-${layer}`)
  if (pages === "memory files") {
    const spans = names.map((name) => hostMemory.map(bytes, name))
    return { spans, files: spans.map(({ fd }) => fd) }
  }
  const hugePages = pages === "2 MiB pages"
  return { spans: names.map((name) => mapAnonymous(bytes, name, { hugePages })), files: [] }
}
