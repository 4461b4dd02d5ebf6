import type { TransferPlan } from "../../plan/transfer-plan.ts"
import type { HashUnits } from "../../transport/transport.ts"

/** How much of what lands is hashed there: nothing, one piece in sixteen, or all. */
export type Hashing = "none" | "sampled" | "full"

/** At `sampled`, one piece in this many is hashed. */
export const sampleEvery = 16

/** The pieces of a read to be hashed where they land; each piece is one unit. */
export function hashUnitsOf(plan: TransferPlan, hashing: Exclude<Hashing, "none">): HashUnits {
  const step = hashing === "full" ? 1 : sampleEvery
  const count = Math.ceil(plan.pieces / step)
  const at = (i: number): number => i * step
  return {
    count,
    region: Uint32Array.from({ length: count }, (_, i) => plan.targetRegion[at(i)]!),
    offset: Float64Array.from({ length: count }, (_, i) => plan.targetOffset[at(i)]!),
    length: Uint32Array.from({ length: count }, (_, i) => plan.length[at(i)]!),
    seed: BigUint64Array.from({ length: count }, (_, i) => BigInt(at(i))),
  }
}
