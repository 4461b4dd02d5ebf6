import type { Lane } from "./lane.ts"

/** One rail as its owner describes it to the other side. */
export interface RailEnd {
  /** What two rails must have in common to talk at all, like "RoCE v2 over IPv4" or "InfiniBand fe80::". */
  readonly link: string
  /** The network it stands in, like "10.77.0.0/24". Rails of one network are joined first. */
  readonly network: string
  /** How fast it is beside the other rails; any unit. 1 where nobody knows. */
  readonly rate: number
}

/** A lane, and how sure it is that requests pass. */
export interface LanePair extends Lane {
  /**
   * True: both ends stand in one network. False: the links fit, and whether a route leads from one network to the other is not
   * known before something has passed; such a lane is tried before it is used.
   */
  readonly sameNetwork: boolean
}

/**
 * Chooses which rails of the two sides are joined: few lanes, every rail that can talk in at least one, loads even.
 *
 * A rail is joined to one of its own network where there is one, else to one whose link fits; of equals the one with fewest lanes,
 * then the one of the same number. One side chooses, and tells the other. The result is sorted by local rail. It is empty when no
 * rail can talk to any.
 */
export function pairLanes(local: readonly RailEnd[], remote: readonly RailEnd[]): LanePair[] {
  const chosen = new Set<number>()
  const loads = { local: local.map(() => 0), remote: remote.map(() => 0) }
  const join = (near: number, far: number): void => {
    chosen.add(near * remote.length + far)
    loads.local[near]! += 1
    loads.remote[far]! += 1
  }
  // The side with more rails chooses first: each of its rails needs a lane of its own anyway.
  const wide = local.length >= remote.length
  const [many, few] = wide ? [local, remote] : [remote, local]
  const [manyLoads, fewLoads] = wide ? [loads.local, loads.remote] : [loads.remote, loads.local]
  const joinThem = (fromMany: number, fromFew: number): void =>
    wide ? join(fromMany, fromFew) : join(fromFew, fromMany)
  many.forEach((end, at) => {
    const partner = bestPartner(end, at, few, fewLoads)
    if (partner !== undefined) joinThem(at, partner)
  })
  few.forEach((end, at) => {
    if (fewLoads[at]! > 0) return
    const partner = bestPartner(end, at, many, manyLoads)
    if (partner !== undefined) joinThem(partner, at)
  })
  return [...chosen]
    .sort((a, b) => a - b)
    .map((pair) => {
      const localRail = Math.floor(pair / remote.length)
      const remoteRail = pair % remote.length
      return {
        localRail,
        remoteRail,
        // A rail's rate is shared by its lanes; the slower end sets the pace.
        weight: Math.min(
          local[localRail]!.rate / loads.local[localRail]!,
          remote[remoteRail]!.rate / loads.remote[remoteRail]!,
        ),
        sameNetwork: local[localRail]!.network === remote[remoteRail]!.network,
      }
    })
}

/** What each local rail gets of a plan: the sum of its lanes' weights; 0 for one that has no lane. */
export function railWeights(lanes: readonly Lane[], rails: number): number[] {
  const weights = new Array<number>(rails).fill(0)
  for (const { localRail, weight } of lanes) weights[localRail]! += weight
  return weights
}

function bestPartner(
  end: RailEnd,
  at: number,
  others: readonly RailEnd[],
  loads: readonly number[],
): number | undefined {
  let best: number | undefined
  let bestScore: readonly number[] = []
  others.forEach((other, index) => {
    if (other.link !== end.link) return
    const score = [other.network === end.network ? 0 : 1, loads[index]!, index === at ? 0 : 1, index]
    if (best !== undefined && !isBefore(score, bestScore)) return
    best = index
    bestScore = score
  })
  return best
}

function isBefore(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, i) => value !== b[i])
  return at >= 0 && a[at]! < b[at]!
}
