import type { Random } from "../random.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import type { Piece } from "./pieces.ts"
import { firstBlock } from "./world.ts"

export interface LayOut {
  readonly lengths: readonly number[]
  readonly source: JudgedAgent
  readonly target: JudgedAgent
  /** Every offset is a multiple of it. */
  readonly align: number
}

/**
 * Finds a place on each side for pieces of these lengths, in no order; none overlap at the target, or at the source.
 * All layers take part; the blocks that nobody uses do not.
 */
export function layOut(random: Random, { lengths, source, target, align }: LayOut): Piece[] {
  const from = places(random, lengths, source, align)
  const to = places(random, lengths, target, align)
  return lengths.map((length, i) => ({
    sourceRegion: from[i]!.region,
    sourceOffset: from[i]!.offset,
    targetRegion: to[i]!.region,
    targetOffset: to[i]!.offset,
    length,
  }))
}

interface Spot {
  readonly region: number
  readonly offset: number
}

function places(random: Random, lengths: readonly number[], agent: JudgedAgent, align: number): Spot[] {
  const start = firstBlock * agent.blockBytes
  const total = lengths.reduce((sum, length) => sum + length + align, 0)
  const slack = agent.cache.layers * (agent.regionBytes - start) - total
  // Gaps of any size, so that neither offsets nor distances are the same on both sides.
  for (const gapMax of [slack / lengths.length, slack / 4 / lengths.length, 0]) {
    const spots = tryPlaces(random, lengths, agent, align, Math.max(0, Math.floor(gapMax)))
    if (spots !== undefined) return spots
  }
  throw new Error(`no room for pieces of ${total} bytes in ${agent.name}`)
}

function tryPlaces(
  random: Random,
  lengths: readonly number[],
  agent: JudgedAgent,
  align: number,
  gapMax: number,
): Spot[] | undefined {
  const ends = Array.from({ length: agent.cache.layers }, () => firstBlock * agent.blockBytes)
  const spots: Spot[] = []
  for (const i of random.shuffled(lengths.map((_, index) => index))) {
    const length = lengths[i]!
    const fitting = ends.flatMap((end, region) =>
      roundedUp(end, align) + length <= agent.regionBytes ? [region] : [],
    )
    if (fitting.length === 0) return undefined
    const region = random.pick(fitting)
    const first = roundedUp(ends[region]!, align)
    const gap = random.below(Math.min(gapMax, agent.regionBytes - first - length) + 1)
    const offset = first + gap - (gap % align)
    spots[i] = { region, offset }
    ends[region] = offset + length
  }
  return spots
}

const roundedUp = (offset: number, align: number): number => Math.ceil(offset / align) * align
