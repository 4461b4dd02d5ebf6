import type { RailCounts } from "../transport.ts"

const [requests, doorbells, looks, parks] = [0, 1, 2, 3]

/** Memory for the counts of one rail: its thread writes them, and anybody reads. */
export function railCountMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(4 * 8)
}

/** The counts as they stand. They are not of one moment. */
export function readRailCounts(memory: SharedArrayBuffer): RailCounts {
  const counts = new Float64Array(memory)
  return {
    requests: counts[requests]!,
    doorbells: counts[doorbells]!,
    looks: counts[looks]!,
    parks: counts[parks]!,
  }
}

/** The counts as the rail's own thread writes them. */
export class RailCounter {
  readonly #counts: Float64Array

  constructor(memory: SharedArrayBuffer) {
    this.#counts = new Float64Array(memory)
  }

  /** A chain of requests was posted by one call. */
  posted(count: number): void {
    this.#counts[requests]! += count
    this.#counts[doorbells]! += 1
  }

  looked(): void {
    this.#counts[looks]! += 1
  }

  parked(): void {
    this.#counts[parks]! += 1
  }
}
