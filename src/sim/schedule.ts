import { Play } from "./play.ts"
import type { ScheduleOptions, ScheduleResult } from "./schedule-terms.ts"
import { World } from "./world.ts"

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
