import type { TransferPlan } from "../../plan/transfer-plan.ts"
import type { HashUnits } from "../transport.ts"

/** In place of a piece's number: the unit lies in no single piece. Dealing a plan over rails cuts a few. */
export const noPiece = 0xffffffff

/**
 * The number of the piece that each unit lies in, or `noPiece`, in a plan that reads.
 *
 * Units mostly come in the order of the pieces, so the next piece is tried before all are searched.
 */
export function pieceOfUnits(plan: TransferPlan, units: HashUnits): Uint32Array {
  const pieces = new Uint32Array(units.count)
  let order: Uint32Array | undefined
  for (let unit = 0, last = 0; unit < units.count; unit++) {
    if (!holds(plan, last, units, unit)) {
      if (holds(plan, last + 1, units, unit)) last += 1
      else {
        order ??= byPlace(plan)
        const found = search(plan, order, units, unit)
        if (found === undefined) {
          pieces[unit] = noPiece
          continue
        }
        last = found
      }
    }
    pieces[unit] = last
  }
  return pieces
}

function holds(plan: TransferPlan, piece: number, units: HashUnits, unit: number): boolean {
  const offset = units.offset[unit]!
  return (
    plan.targetRegion[piece] === units.region[unit] &&
    offset >= plan.targetOffset[piece]! &&
    offset + units.length[unit]! <= plan.targetOffset[piece]! + plan.length[piece]!
  )
}

function byPlace({ pieces, targetRegion, targetOffset }: TransferPlan): Uint32Array {
  return Uint32Array.from({ length: pieces }, (_, piece) => piece).sort(
    (a, b) => targetRegion[a]! - targetRegion[b]! || targetOffset[a]! - targetOffset[b]!,
  )
}

/** The last piece that begins at or before the unit, if the unit lies in it. Pieces of a plan do not overlap. */
function search(plan: TransferPlan, order: Uint32Array, units: HashUnits, unit: number): number | undefined {
  const [region, offset] = [units.region[unit]!, units.offset[unit]!]
  let [low, high] = [0, order.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const piece = order[middle]!
    const begins = plan.targetRegion[piece]! - region || plan.targetOffset[piece]! - offset
    if (begins > 0) high = middle
    else low = middle + 1
  }
  const piece = order[low - 1]
  return piece !== undefined && holds(plan, piece, units, unit) ? piece : undefined
}
