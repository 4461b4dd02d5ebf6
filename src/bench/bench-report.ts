import type { Curve } from "./curves.ts"
import type { EngineBench } from "./engine-bench.ts"
import type { IdleResult } from "./idle.ts"
import type { IntegrityCost } from "./integrity.ts"
import type { LineupResult } from "./lineup.ts"
import type { MachineFacts } from "./machine.ts"
import type { PeerFact } from "./peers/peers.ts"
import type { PlanCost } from "./plan-cost.ts"
import type { Spread } from "./statistics.ts"
import type { TargetResult } from "./target-result.ts"

/** What was measured in one run, before it is held against the targets. */
export interface BenchFindings {
  readonly machine: MachineFacts
  /** What the ceilings were: C with this compiler, or what the FFI does, and why. */
  readonly ceilings: string
  /** What was left out or made smaller, and why. */
  readonly notes: readonly string[]
  readonly peers: readonly PeerFact[]
  readonly engine?: EngineBench
  readonly lineups: readonly LineupResult[]
  readonly plans: readonly PlanCost[]
  readonly integrity: readonly IntegrityCost[]
  /** Rate of xxh64 over the large job's blocks where they landed, on one thread, in bytes per second. */
  readonly hashBytesPerSecond?: Spread
  readonly idle: readonly IdleResult[]
  readonly curves: readonly Curve[]
}

/** The record of one run of the bench. */
export interface BenchReport extends BenchFindings {
  readonly schema: "kvferry/bench/2"
  readonly software: string
  readonly startedAt: string
  readonly tookMillis: number
  readonly quick: boolean
  /** How the numbers are known: measured on this machine's processor and loopback device. No NIC is involved. */
  readonly evidence: "hardware"
  readonly loadAverage1MinuteBefore: number
  readonly loadAverage1MinuteAfter: number
  readonly targets: readonly TargetResult[]
  readonly verdict: "identical" | "different"
}
