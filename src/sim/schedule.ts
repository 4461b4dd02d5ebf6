import type { TransportFaultKind } from "../transport/fault/fault-plan.ts"
import type { CoverageCounts } from "./coverage.ts"
import type { FabricLie } from "./fabric/fabric.ts"
import type { Mishap } from "./mishaps.ts"
import { Play } from "./play.ts"
import type { Violation } from "./promise-broken.ts"
import { World } from "./world.ts"

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

/** Plays one schedule from beginning to end. Two runs of one seed are the same to the last line. */
export async function playSchedule(options: ScheduleOptions): Promise<ScheduleResult> {
  // Called from an event, the first microtasks would be left for the second action: see `settle`.
  await Promise.resolve()
  const world = new World(options.seed)
  const uncaught = (reason: unknown): void => {
    const what = `a rejection that nobody handles: ${reason instanceof Error ? reason.stack : reason}`
    world.broken("alive", "process", what)
  }
  process.on("unhandledRejection", uncaught)
  try {
    const played = await new Play(world, options).run()
    // Node tells of unhandled rejections when it comes back to its event loop.
    await new Promise(setImmediate)
    return {
      seed: options.seed,
      violations: world.violations,
      journal: world.journal.lines,
      hash: world.journal.hash,
      virtualMillis: world.now,
      ...played,
    }
  } finally {
    process.off("unhandledRejection", uncaught)
  }
}
