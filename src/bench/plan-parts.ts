import { assert } from "../errors/assert.ts"
import { PlanBuilder, type TransferPlan } from "../plan/transfer-plan.ts"

/** A plan as `parts` plans of the same number of pieces, in order; pieces that do not divide evenly are left out. */
export function planParts(plan: TransferPlan, parts: number): TransferPlan[] {
  const each = Math.floor(plan.pieces / parts)
  assert(each >= 1, `${plan.pieces} pieces do not make ${parts} parts`)
  return Array.from({ length: parts }, (_, part) => planSlice(plan, part * each, (part + 1) * each))
}

/** The pieces `from` to `to` of a plan. */
export function planSlice(plan: TransferPlan, from: number, to: number): TransferPlan {
  const builder = new PlanBuilder(to - from)
  for (let i = from; i < to; i++) {
    builder.add(
      plan.sourceRegion[i]!,
      plan.sourceOffset[i]!,
      plan.targetRegion[i]!,
      plan.targetOffset[i]!,
      plan.length[i]!,
      0,
    )
  }
  return builder.finish()
}
