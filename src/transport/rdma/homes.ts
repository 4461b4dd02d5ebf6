import { assert } from "../../errors/assert.ts"
import type { Share } from "./deal.ts"
import type { Lane } from "./lane.ts"

/** The local rails that have lanes, and how their units are shared by these. */
export interface Homes {
  /** Local rails with at least one lane, ascending. */
  readonly rails: readonly number[]
  /** Index in `rails` of the one that carries the pieces of a plan's rail. */
  ofRail(rail: number): number
  /**
   * The run of units of each lane, in the order of the lanes.
   * @param ends for each of `rails` the unit behind its last, where the units are sorted by rail.
   * @param length bytes of each unit.
   */
  shares(ends: readonly number[], length: Uint32Array): Share[]
}

/** @param lanes those of one local rail side by side, rails ascending; at least one. */
export function homesOf(lanes: readonly Lane[]): Homes {
  assert(lanes.length >= 1, "a move has a lane to go over")
  const rails: number[] = []
  for (const { localRail, weight } of lanes) {
    assert(weight > 0, "a lane has a weight")
    const last = rails.at(-1) ?? -1
    assert(localRail >= last, "lanes are sorted by their local rail")
    if (localRail !== last) rails.push(localRail)
  }
  const byRail = new Map(rails.map((rail, at) => [rail, at]))
  return {
    rails,
    ofRail: (rail) => byRail.get(rail) ?? rail % rails.length,
    shares(ends, length) {
      const shares: Share[] = []
      let start = 0
      rails.forEach((rail, at) => {
        const weights = lanes.filter(({ localRail }) => localRail === rail).map(({ weight }) => weight)
        shares.push(...byWeight(start, ends[at]!, weights, length))
        start = ends[at]!
      })
      return shares
    },
  }
}

/** Runs of units whose bytes stand to each other about like the weights. */
function byWeight(start: number, end: number, weights: readonly number[], length: Uint32Array): Share[] {
  let bytes = 0
  for (let unit = start; unit < end; unit++) bytes += length[unit]!
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  let [at, given, weighed] = [start, 0, 0]
  return weights.map((weight, lane) => {
    const from = at
    weighed += weight
    const last = lane === weights.length - 1
    // A unit on the border goes to the side that more of it lies on.
    while (at < end && (last || given + length[at]! / 2 <= (bytes * weighed) / total)) given += length[at++]!
    return { start: from, end: at }
  })
}
