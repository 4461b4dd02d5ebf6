import { KvError } from "../errors/kv-error.ts"
import type { IntegrityLevel } from "../receipt/receipt.ts"
import type { Progress } from "../terminal/progress.ts"
import { countText, sizeText } from "../terminal/units.ts"
import { throwIfInterrupted } from "./interrupted.ts"
import type { SidePair } from "./side-pair.ts"
import { type Lane, laneText } from "./sides/lanes.ts"
import { type Spread, spreadOf } from "./statistics.ts"

/** How a cost grows with the number of things. */
export interface Curve {
  /** What is counted: "blocks", "tickets", "peers". */
  readonly unit: string
  readonly lane: string
  /** What one of them is: "block of 4 KiB". */
  readonly each: string
  readonly points: readonly CurvePoint[]
}

export interface CurvePoint {
  readonly count: number
  /** Time of all of them together. */
  readonly micros: Spread
  readonly microsPerUnitMedian: number
}

/** One of the jobs of a pair: its place among them, and what it moves. */
export interface JobSize {
  readonly index: number
  readonly pieces: number
  readonly pieceBytes: number
}

/** What every curve runs over. */
interface CurveBase {
  readonly pair: SidePair
  readonly lane: Lane
  readonly repeats: number
  readonly progress: Progress
  readonly signal: AbortSignal
}

/** What the curves of one lane run over. */
export interface CurveOptions extends CurveBase {
  /** The job of many small blocks, and the job whose pieces are moves of their own. */
  readonly blocks: JobSize
  readonly crowd: JobSize
  /** The job whose blocks were lent one by one. */
  readonly tickets: JobSize
}

/** One transfer of 1 to many blocks; 1 to many transfers at once, bare and as tickets. */
export async function runCurves(options: CurveOptions): Promise<Curve[]> {
  const { blocks, crowd, tickets } = options
  return [
    await curve(
      options,
      "blocks",
      `block of ${sizeText(blocks.pieceBytes)}`,
      powers(10, blocks.pieces),
      (count) => ({
        job: blocks.index,
        pieces: count,
        parts: 1,
        peers: 1,
      }),
    ),
    await curve(
      options,
      "tickets",
      `ticket at ${ticketLevel} for one block of ${sizeText(tickets.pieceBytes)}`,
      powers(10, tickets.pieces),
      (count) => ({ job: tickets.index, pieces: count, parts: count, peers: 1, ticket: ticketLevel }),
    ),
    await curve(
      options,
      "moves",
      `posted move of one block of ${sizeText(crowd.pieceBytes)}`,
      powers(10, crowd.pieces),
      (count) => ({
        job: crowd.index,
        pieces: count,
        parts: count,
        peers: 1,
      }),
    ),
  ]
}

/** 1 to many peers at once, with a like share of the job each. */
export async function peersCurve(
  options: CurveBase & { readonly crowd: JobSize; readonly peersMax: number },
): Promise<Curve> {
  const { crowd, peersMax, pair, lane } = options
  const each = Math.max(1, Math.floor(crowd.pieces / peersMax))
  const counts = powers(2, peersMax)
  for (const peers of counts) if (peers > 1) await pair.reach(lane, peers)
  return curve(
    options,
    "peers",
    `peer with ${countText(each, "block")} of ${sizeText(crowd.pieceBytes)}`,
    counts,
    (count) => ({ job: crowd.index, pieces: count * each, parts: count, peers: count }),
  )
}

/** 1 to many blocks used in place: what an attached ticket costs from attach to release, and each block of it. */
export async function attachCurve({
  pair,
  lane,
  level,
  job,
  layers,
  counts,
  repeats,
}: {
  readonly pair: SidePair
  readonly lane: Lane
  readonly level: IntegrityLevel
  /** Its sequences have `counts` blocks in each layer. */
  readonly job: number
  readonly layers: number
  readonly counts: readonly number[]
  readonly repeats: number
}): Promise<Curve> {
  const points: CurvePoint[] = []
  const times = { repeats, pauseMicros: 0 }
  for (const [sequence, blocks] of counts.entries()) {
    await pair.target.ask("attachments", { job, lane, level, sequence, times })
    const { micros } = await pair.target.ask("attachments", { job, lane, level, sequence, times })
    const [spread, count] = [spreadOf(micros), blocks * layers]
    points.push({ count, micros: spread, microsPerUnitMedian: spread.median / count })
  }
  const each = `block of one attached ticket at ${level}, nothing copied`
  return { unit: "blocks attached", lane: laneText(lane), each, points }
}

interface Crowd {
  readonly job: number
  readonly pieces: number
  readonly parts: number
  readonly peers: number
  /** Real tickets at this level, of a job whose blocks were lent one by one; bare moves when absent. */
  readonly ticket?: IntegrityLevel
}

const ticketLevel: IntegrityLevel = "epoch"

async function curve(
  { pair, lane, repeats, progress, signal }: CurveBase,
  unit: string,
  each: string,
  counts: readonly number[],
  crowdOf: (count: number) => Crowd,
): Promise<Curve> {
  const points: CurvePoint[] = []
  for (const [i, count] of counts.entries()) {
    throwIfInterrupted(signal)
    progress.update(`${count} ${unit} over ${laneText(lane)}`, i / counts.length)
    const crowd = crowdOf(count)
    await pair.target.ask("wipe", { job: crowd.job, refill: false })
    // Short ones run more often: their times spread more. The first warms up.
    const times = {
      repeats: 1 + Math.max(repeats, Math.min(200, Math.floor(30_000 / crowd.pieces))),
      pauseMicros: 0,
    }
    const { job, ticket } = crowd
    const { micros } =
      ticket === undefined
        ? await pair.target.ask("crowd", { ...crowd, lane, times })
        : await pair.target.ask("tickets", { job, lane, level: ticket, count, times })
    await mustBeRight(pair, crowd, `${count} ${unit} over ${laneText(lane)}`)
    const spread = spreadOf(micros.slice(1))
    points.push({ count, micros: spread, microsPerUnitMedian: spread.median / count })
  }
  return { unit, lane: laneText(lane), each, points }
}

async function mustBeRight(pair: SidePair, { job, pieces }: Crowd, what: string): Promise<void> {
  const source = await pair.source.ask("check", { job, at: "source", expected: undefined, pieces })
  const { hash, wrong } = await pair.target.ask("check", { job, at: "target", expected: source.hash, pieces })
  if (hash === source.hash) return
  throw new KvError("KV_INTERNAL", {
    what: `${what} brought wrong bytes`,
    why: `region ${wrong?.region}, offset ${wrong?.byteOffset}: ${wrong?.found} in place of ${wrong?.expected}`,
  })
}

/** 1, `base`, `base`², … up to `most`. */
function powers(base: number, most: number): number[] {
  const counts: number[] = []
  for (let count = 1; count <= most; count *= base) counts.push(count)
  return counts
}
