import { assert } from "../errors/assert.ts"
import { PlanBuilder, type TransferPlan } from "./transfer-plan.ts"

/** Shares end at multiples of this many bytes, so that no rail gets an unaligned sliver. */
const alignBytes = 4096

/**
 * Deals a plan over `rails` rails: each gets a run of bytes, about as many as its weight says.
 *
 * A piece on the border of two shares is cut there. Every byte of the plan is in the result exactly once.
 * @param weights one for each rail, 0 or more, not all 0; any unit. Absent: all rails alike. A rail of weight 0 gets nothing.
 */
export function stripe(plan: TransferPlan, rails: number, weights?: readonly number[]): TransferPlan {
  assert(Number.isSafeInteger(rails) && rails >= 1, "a stripe needs at least one rail")
  if (rails === 1) return plan
  const ends = shareEnds(plan.bytes, rails, weights)
  const builder = new PlanBuilder(plan.pieces + rails)
  let rail = 0
  let dealt = 0
  for (let i = 0; i < plan.pieces; i++) {
    let done = 0
    while (done < plan.length[i]!) {
      while (dealt >= ends[rail]!) rail += 1
      const length = Math.min(ends[rail]! - dealt, plan.length[i]! - done)
      const sourceOffset = plan.sourceOffset[i]! + done
      const targetOffset = plan.targetOffset[i]! + done
      builder.add(plan.sourceRegion[i]!, sourceOffset, plan.targetRegion[i]!, targetOffset, length, rail)
      done += length
      dealt += length
    }
  }
  return builder.finish()
}

/** For each rail the byte of the plan at which its share ends; ascending, and the last that carries anything has no end. */
function shareEnds(bytes: number, rails: number, weights: readonly number[] | undefined): number[] {
  if (weights === undefined) {
    const share = Math.max(alignBytes, Math.ceil(bytes / rails / alignBytes) * alignBytes)
    return Array.from({ length: rails }, (_, rail) =>
      rail === rails - 1 ? Number.POSITIVE_INFINITY : (rail + 1) * share,
    )
  }
  assert(weights.length === rails, "each rail has a weight")
  assert(
    weights.every((weight) => weight >= 0 && Number.isFinite(weight)),
    "a weight is a number from 0",
  )
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  assert(total > 0, "one rail at least carries something")
  const last = weights.findLastIndex((weight) => weight > 0)
  let weighed = 0
  return weights.map((weight, rail) => {
    weighed += weight
    if (rail >= last) return Number.POSITIVE_INFINITY
    return Math.ceil((bytes * weighed) / total / alignBytes) * alignBytes
  })
}
