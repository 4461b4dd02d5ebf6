import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"

/** The bytes `[first, end)` of a plan, counted in the order of its pieces. */
export function partOfPlan(plan: TransferPlan, first: number, end: number): TransferPlan {
  const builder = new PlanBuilder(plan.pieces)
  let at = 0
  for (let i = 0; i < plan.pieces; i++) {
    const from = Math.max(first - at, 0)
    const to = Math.min(end - at, plan.length[i]!)
    if (from < to) addPart(builder, plan, i, from, to)
    at += plan.length[i]!
  }
  return builder.finish()
}

/** A plan without one of its pieces. */
export function withoutPiece(plan: TransferPlan, piece: number): TransferPlan {
  const builder = new PlanBuilder(plan.pieces)
  for (let i = 0; i < plan.pieces; i++) if (i !== piece) addPart(builder, plan, i, 0, plan.length[i]!)
  return builder.finish()
}

/** The same bytes to the same places: pieces from the last to the first, the later half of each before the other. */
export function backwards(plan: TransferPlan): TransferPlan {
  const builder = new PlanBuilder(2 * plan.pieces)
  for (let i = plan.pieces - 1; i >= 0; i--) {
    const length = plan.length[i]!
    const half = length >> 1
    addPart(builder, plan, i, half, length)
    if (half > 0) addPart(builder, plan, i, 0, half)
  }
  return builder.finish()
}

/** Where the byte of a plan that is `byte` bytes behind its first one lies on either side. */
export function placeInPlan(
  plan: TransferPlan,
  byte: number,
): { readonly piece: number; readonly done: number } {
  let at = 0
  for (let piece = 0; piece < plan.pieces; piece++) {
    if (byte < at + plan.length[piece]!) return { piece, done: byte - at }
    at += plan.length[piece]!
  }
  throw new RangeError(`byte ${byte} of a plan of ${plan.bytes}`)
}

function addPart(builder: PlanBuilder, plan: TransferPlan, i: number, from: number, to: number): void {
  builder.add(
    plan.sourceRegion[i]!,
    plan.sourceOffset[i]! + from,
    plan.targetRegion[i]!,
    plan.targetOffset[i]! + from,
    to - from,
    plan.rail[i]!,
  )
}
