import { blocksFor, kvStrides, tokensInBlock } from "../kv/kv-layout.ts"
import { headIsContiguous } from "../kv/kv-rows.ts"
import type { TransferPlan } from "../plan/transfer-plan.ts"
import type { HashUnits } from "../transport/transport.ts"
import { placeSeed, type StoredSequence } from "./fingerprint.ts"

/** The units of a sequence, by who can hash them. */
export interface UnitSplit {
  /** Units whose content lies in one run of a region, in head-major order: whoever moves them can hash them as they land. */
  readonly whole: HashUnits
  /** Their places among all hashes, as `layer * unitsOfSequence + unit`. */
  readonly places: Uint32Array<ArrayBuffer>
  /** Places of the others, for a `Hasher`: a last block that is not full, an order or a unit that is not the pool's. */
  readonly rest: Uint32Array<ArrayBuffer>
}

/**
 * Splits the units of a sequence in which `fingerprintBlocks` hashes it.
 *
 * @param unitTokens tokens of a unit: the block size of the side that sealed the sequence.
 * @param regions `regions[l]` is the id under which layer l is registered.
 */
export function hashUnitsOf(
  sequence: StoredSequence,
  unitTokens: number,
  regions: ArrayLike<number>,
): UnitSplit {
  const { layout, blocks, tokens } = sequence
  const { layers } = layout.shape
  const units = blocksFor(tokens, unitTokens)
  const inPlace = unitTokens === layout.blockTokens && headIsContiguous(layout)
  const full =
    inPlace && units > 0 && tokensInBlock(units - 1, tokens, unitTokens) < unitTokens ? units - 1 : units
  const wholeUnits = inPlace ? full : 0
  const count = layers * wholeUnits
  const bytes = kvStrides(layout).block
  const whole = {
    count,
    region: new Uint32Array(count),
    offset: new Float64Array(count),
    length: new Uint32Array(count).fill(bytes),
    seed: new BigUint64Array(count),
  }
  const places = new Uint32Array(count)
  const rest = new Uint32Array(layers * (units - wholeUnits))
  for (let layer = 0, at = 0, left = 0; layer < layers; layer++) {
    for (let unit = 0; unit < units; unit++) {
      const place = layer * units + unit
      if (unit >= wholeUnits) {
        rest[left++] = place
        continue
      }
      whole.region[at] = regions[layer]!
      whole.offset[at] = blocks[unit]! * bytes
      whole.seed[at] = placeSeed(layer, unit)
      places[at++] = place
    }
  }
  return { whole, places, rest }
}

/** What is left of a split when a unit must lie whole in one piece of a plan: the others go to the rest. */
export function keepUnitsInside({ whole, places, rest }: UnitSplit, plan: TransferPlan): UnitSplit {
  const order = Array.from({ length: plan.pieces }, (_, i) => i).sort(
    (a, b) => plan.targetRegion[a]! - plan.targetRegion[b]! || plan.targetOffset[a]! - plan.targetOffset[b]!,
  )
  const kept: number[] = []
  const lost: number[] = []
  for (let i = 0; i < whole.count; i++) {
    const piece = order[lastAtOrBefore(plan, order, whole.region[i]!, whole.offset[i]!)]
    const inside =
      piece !== undefined &&
      plan.targetRegion[piece] === whole.region[i] &&
      whole.offset[i]! + whole.length[i]! <= plan.targetOffset[piece]! + plan.length[piece]!
    if (inside) kept.push(i)
    else lost.push(places[i]!)
  }
  if (lost.length === 0) return { whole, places, rest }
  return {
    whole: {
      count: kept.length,
      region: Uint32Array.from(kept, (i) => whole.region[i]!),
      offset: Float64Array.from(kept, (i) => whole.offset[i]!),
      length: Uint32Array.from(kept, (i) => whole.length[i]!),
      seed: BigUint64Array.from(kept, (i) => whole.seed[i]!),
    },
    places: Uint32Array.from(kept, (i) => places[i]!),
    rest: Uint32Array.from([...rest, ...lost]),
  }
}

/** Place in `order` of the last piece that starts at or before an offset of a target region; -1 when none does. */
function lastAtOrBefore(
  plan: TransferPlan,
  order: readonly number[],
  region: number,
  offset: number,
): number {
  let low = 0
  let high = order.length
  while (low < high) {
    const middle = (low + high) >> 1
    const piece = order[middle]!
    const after =
      plan.targetRegion[piece]! > region ||
      (plan.targetRegion[piece] === region && plan.targetOffset[piece]! > offset)
    if (after) high = middle
    else low = middle + 1
  }
  return low - 1
}
