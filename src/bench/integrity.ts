import type { IntegrityLevel } from "../receipt/receipt.ts"
import type { ContenderResult, LineupResult } from "./lineup.ts"
import { ticketName } from "./side-pair.ts"
import { type Lane, laneText } from "./sides/lanes.ts"
import { type Spread, speedRatio } from "./statistics.ts"

/** Levels in the order of what they check. */
export const integrityLevels: readonly IntegrityLevel[] = ["none", "epoch", "sampled", "full"]

/** Share of the moved bytes that a level hashes. */
const hashedShare: Readonly<Record<IntegrityLevel, number>> = { none: 0, epoch: 0, sampled: 1 / 16, full: 1 }

/** What a level of integrity costs a ticket, beside what the rates of copy and hash explain. */
export interface IntegrityCost {
  readonly lane: string
  readonly level: Exclude<IntegrityLevel, "none">
  /** Time at this level over time at `none`, less one: 0.3 is 30 % more. Round by round. */
  readonly extra: Spread
  /** Processor time of both sides at this level over that at `none`, less one: it moves less than the clock. */
  readonly extraCpu: number
  /** The same, if hashing took what hashing these bytes alone takes, shared by the rails' threads. 0 where nothing is hashed. */
  readonly explained: number
}

/** Reads the levels' costs out of the lineup that ran them in turn. @param hashBytesPerSecond of one thread. */
export function integrityCosts(
  lineup: LineupResult,
  lanes: readonly Lane[],
  hashBytesPerSecond: number,
): IntegrityCost[] {
  const named = (name: string): ContenderResult | undefined =>
    lineup.results.find((result) => result.name === name)
  return lanes.flatMap((lane) => {
    const plain = named(ticketName(lane, "none"))
    return integrityLevels.flatMap((level): IntegrityCost[] => {
      const checked = named(ticketName(lane, level))
      if (plain === undefined || checked === undefined || level === "none") return []
      const slower = speedRatio(plain.microsByRound, checked.microsByRound)
      if (slower === undefined) return []
      const { median, min, max } = slower
      const hashMicros = ((lineup.bytes * hashedShare[level]) / hashBytesPerSecond / lane.width) * 1e6
      return [
        {
          lane: laneText(lane),
          level,
          extra: { median: median - 1, min: min - 1, max: max - 1 },
          extraCpu: cpuOf(checked) / cpuOf(plain) - 1,
          explained: hashMicros / plain.micros.median,
        },
      ]
    })
  })
}

const cpuOf = (result: ContenderResult): number => result.sourceCpuSecondsPerGb + result.targetCpuSecondsPerGb
