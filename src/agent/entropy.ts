import { randomBytes } from "node:crypto"

/** Where an agent's random bytes come from: the system, or a seed in a simulation. */
export interface Entropy {
  /** `count` bytes that nobody can guess. */
  bytes(count: number): Uint8Array
  /** A whole number from 0 to below `below`, for choices that are no secret. */
  below(below: number): number
}

/** The operating system's. */
export const systemEntropy: Entropy = {
  bytes: (count) => randomBytes(count),
  below: (below) => Math.floor(Math.random() * below),
}
