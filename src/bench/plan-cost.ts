import type { Job } from "./job.ts"
import { jobPieces } from "./job.ts"
import type { SidePair } from "./side-pair.ts"
import { type Lane, laneText } from "./sides/lanes.ts"
import { type Spread, spreadOf } from "./statistics.ts"

/** What is thought before the first byte moves: done once for a prepared move, however often it is posted. */
export interface PlanCost {
  readonly job: string
  readonly lane: string
  readonly pieces: number
  /** From block tables to pieces. */
  readonly planMicros: Spread
  /** From pieces to a move that can be posted. */
  readonly prepareMicros: Spread
  /** All that an agent does to make a read out of a held lease: plan, stripe, prepare, and the look at the stamps. */
  readonly readMicros: Spread
  readonly nanosPerPieceMedian: number
}

/** Plans and prepares a job again and again, in the process that reads. */
export async function planCost(
  pair: SidePair,
  job: Job,
  index: number,
  lane: Lane,
  repeats: number,
): Promise<PlanCost> {
  const cost = await pair.target.ask("plan", { job: index, lane, repeats })
  const [planMicros, prepareMicros] = [spreadOf(cost.planMicros), spreadOf(cost.prepareMicros)]
  const readMicros = spreadOf(cost.readMicros)
  return {
    job: job.name,
    lane: laneText(lane),
    pieces: jobPieces(job),
    planMicros,
    prepareMicros,
    readMicros,
    nanosPerPieceMedian: (readMicros.median * 1000) / jobPieces(job),
  }
}
