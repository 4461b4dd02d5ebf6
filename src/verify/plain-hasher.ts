import { allUnits, fingerprintUnits } from "./fingerprint.ts"
import type { Hasher } from "./hasher.ts"

/** Hashes on the calling thread: for tests, simulation, and whoever has no threads beside it. */
export const plainHasher: Hasher = {
  hash: async (sequence, unitTokens, units = allUnits(sequence, unitTokens)) =>
    fingerprintUnits(sequence, unitTokens, units),
}
