import { assert } from "../errors/assert.ts"
import { PlanBuilder, type TransferPlan } from "./transfer-plan.ts"

/** Shares end at multiples of this many bytes, so that no rail gets an unaligned sliver. */
const alignBytes = 4096

/**
 * Deals a plan over `rails` rails: each gets a run of about the same number of bytes.
 *
 * A piece on the border of two shares is cut there. Every byte of the plan is in the result exactly once.
 */
export function stripe(plan: TransferPlan, rails: number): TransferPlan {
  assert(Number.isSafeInteger(rails) && rails >= 1, "a stripe needs at least one rail")
  if (rails === 1) return plan
  const share = Math.max(alignBytes, Math.ceil(plan.bytes / rails / alignBytes) * alignBytes)
  const builder = new PlanBuilder(plan.pieces + rails)
  let rail = 0
  let left = share
  for (let i = 0; i < plan.pieces; i++) {
    let done = 0
    while (done < plan.length[i]!) {
      const last = rail === rails - 1
      const length = last ? plan.length[i]! - done : Math.min(left, plan.length[i]! - done)
      const sourceOffset = plan.sourceOffset[i]! + done
      const targetOffset = plan.targetOffset[i]! + done
      builder.add(plan.sourceRegion[i]!, sourceOffset, plan.targetRegion[i]!, targetOffset, length, rail)
      done += length
      left -= length
      if (left <= 0 && !last) {
        rail += 1
        left = share
      }
    }
  }
  return builder.finish()
}
