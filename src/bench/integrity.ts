import type { ContenderResult, LineupResult } from "./lineup.ts"
import type { Hashing } from "./sides/hash-units.ts"
import { sampleEvery } from "./sides/hash-units.ts"
import { type Lane, laneText } from "./sides/lanes.ts"
import { type Spread, speedRatio } from "./statistics.ts"

/** What hashing what lands costs, beside what the rates of copy and hash explain. */
export interface IntegrityCost {
  readonly lane: string
  readonly level: Exclude<Hashing, "none">
  /** Time with hashing over time without, less one: 0.3 is 30 % more. Pair by pair. */
  readonly extra: Spread
  /** Processor time of both sides with hashing over that without, less one: it moves less than the clock. */
  readonly extraCpu: number
  /** The same, if hashing took what hashing these bytes alone takes, shared by the rails' threads. */
  readonly explained: number
}

/** Reads the levels' costs out of the lineup that ran them in turn. */
export function integrityCosts(
  lineup: LineupResult,
  lanes: readonly Lane[],
  hashBytesPerSecond: number,
): IntegrityCost[] {
  const named = (name: string): ContenderResult | undefined =>
    lineup.results.find((result) => result.name === name)
  return lanes.flatMap((lane) => {
    const plain = named(laneText(lane))
    return (["sampled", "full"] as const).flatMap((level): IntegrityCost[] => {
      const hashed = named(`${laneText(lane)}, ${level}`)
      if (plain === undefined || hashed === undefined) return []
      const slower = speedRatio(plain.microsByRound, hashed.microsByRound)
      if (slower === undefined) return []
      const { median, min, max } = slower
      const share = level === "full" ? 1 : 1 / sampleEvery
      // A stream's thread copies nothing of its own: its bytes are hashed by one thread, the caller's.
      const threads = lane.fabric === "tcp" ? 1 : lane.width
      const hashMicros = ((lineup.bytes * share) / hashBytesPerSecond / threads) * 1e6
      return [
        {
          lane: laneText(lane),
          level,
          extra: { median: median - 1, min: min - 1, max: max - 1 },
          extraCpu: cpuOf(hashed) / cpuOf(plain) - 1,
          explained: hashMicros / plain.micros.median,
        },
      ]
    })
  })
}

const cpuOf = (result: ContenderResult): number => result.sourceCpuSecondsPerGb + result.targetCpuSecondsPerGb
