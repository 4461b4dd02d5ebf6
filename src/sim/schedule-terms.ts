import type { TransportFaultKind } from "../transport/fault/fault-plan.ts"
import type { CoverageCounts } from "./coverage.ts"
import type { FabricLie } from "./fabric/parts.ts"
import type { Mishap } from "./mishaps.ts"
import type { Violation } from "./promise-broken.ts"

/** What a caller may choose of a schedule; everything else is the seed's. */
export interface ScheduleOptions {
  readonly seed: number
  /** Lies of all its fabrics: for tests of the oracles. */
  readonly lies?: readonly FabricLie[]
  /** Faults of the wrapped transports; those that do not lie unless told. */
  readonly transportFaults?: readonly TransportFaultKind[]
}

/** What came of a schedule. */
export interface ScheduleResult {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly journal: readonly string[]
  readonly hash: string
  readonly virtualMillis: number
  readonly actions: number
  /** How requests ended, and how often. */
  readonly ends: ReadonlyMap<string, number>
  readonly mishaps: ReadonlyMap<Mishap, number>
  /** The transitions that were taken. */
  readonly coverage: CoverageCounts
}
