import { assert } from "../errors/assert.ts"
import type { Progress } from "../terminal/progress.ts"
import type { Contender, RunTimes } from "./contender.ts"
import { throwIfInterrupted } from "./interrupted.ts"
import { type Job, jobBytes, jobPieces } from "./job.ts"
import { loadAverage1Minute } from "./machine.ts"
import type { Others } from "./others.ts"
import type { WrongWord } from "./pattern.ts"
import type { SidePair } from "./side-pair.ts"
import type { PageKind } from "./sides/pool.ts"
import { quantileOf, type Spread, spreadOf } from "./statistics.ts"

/** Small jobs warm up for this many times their repeats: V8 compiles what runs often, and only then. */
const warmUpFactor = 4
/** Large jobs warm up by as many more as fit into this time. */
const warmUpMicrosMax = 500_000
/** Repeats that say how long one takes, and the fewest of a run. */
const probeRepeats = 5
/** Rounds that even a slow contender takes part in. */
const roundsMin = 3

/** One job, and all who run it, in turn. */
export interface Lineup {
  /** Stable, for filters and targets: "kv", "small", "tiny", "read awake", "read idle". */
  readonly id: string
  readonly job: Job
  /** The job's number in its pair. */
  readonly index: number
  readonly pages: PageKind
  readonly rounds: number
  /** How often a run repeats the job, one right after the other. */
  readonly repeats: number
  /** Sleep before each repeat, so that everybody has gone to sleep; 0 keeps the cores awake. */
  readonly pauseMicros: number
  /** Time for all runs of one contender; one that is slower takes part in fewer rounds. */
  readonly secondsPerContender: number
  readonly contenders: readonly Contender[]
}

/** What one contender did in a lineup. */
export interface ContenderResult {
  readonly name: string
  readonly role: Contender["role"]
  readonly ceiling?: string
  /** The median time of each round's run; null in a round without it. Rounds are the pairs of every ratio. */
  readonly microsByRound: readonly (number | null)[]
  /** Repeats in each run: fewer than the lineup's where the time was short. */
  readonly repeats: number
  readonly micros: Spread
  readonly p99Micros: number
  /** The very first job of its kind, before anything was warm. */
  readonly firstMicros: number
  /** Worked out once, before the first post. */
  readonly prepareMicros?: number
  readonly bytesPerSecond: Spread
  readonly sourceCpuSecondsPerGb: number
  readonly targetCpuSecondsPerGb: number
  readonly verdict: "identical" | "different" | "no bytes"
  readonly firstDifference?: string
}

/** One table of the report. */
export interface LineupResult {
  readonly id: string
  readonly job: string
  readonly pages: PageKind
  readonly pieces: number
  readonly pieceBytes: number
  readonly bytes: number
  readonly rounds: number
  readonly repeats: number
  readonly pauseMicros: number
  readonly loadAverage1Minute: number
  /** Cores that nobody of ours kept busy while this was measured; the hypervisor's share counts as others. */
  readonly othersCoresAverage: number
  /** Hash over the moved bytes at the source. */
  readonly hash: string
  readonly results: readonly ContenderResult[]
  /** Peers that left, and why. */
  readonly failures: readonly { readonly name: string; readonly why: string }[]
}

interface Tally {
  readonly contender: Contender
  readonly runs: (RunTimes | undefined)[]
  first: number
  /** Fewer than the lineup's for one that is slow. */
  repeats: number
  prepare: number | undefined
  wrong: string | undefined
  /** Why it has left the lineup. */
  failed: string | undefined
}

/** How a lineup is run. */
export interface LineupContext {
  readonly pair: SidePair
  readonly others: Others
  readonly progress: Progress
  readonly signal: AbortSignal
  /** Breaks a bit of what kvferry's runs brought: the check must notice. For a test. */
  readonly damage: boolean
}

/**
 * Runs every contender once a round, each round beginning with another one, so that noise hits all alike. Every run is
 * checked: a wrong byte is a verdict, not an error.
 */
export async function runLineup(lineup: Lineup, context: LineupContext): Promise<LineupResult> {
  const { pair, others, progress, signal } = context
  const { job, index, rounds, contenders } = lineup
  const source = await pair.source.ask("check", { job: index, at: "source", expected: undefined })
  assert(source.wrong === undefined, "the source holds its own pattern")
  const tallies = contenders.map(
    (contender): Tally => ({
      contender,
      runs: [],
      first: 0,
      repeats: lineup.repeats,
      prepare: undefined,
      wrong: undefined,
      failed: undefined,
    }),
  )
  const before = others.now()
  // Round 0 warms up: it is checked like the others, and not counted.
  for (let round = 0; round <= rounds; round++) {
    for (let turn = 0; turn < tallies.length; turn++) {
      throwIfInterrupted(signal)
      const tally = tallies[(turn + round) % tallies.length]!
      const label = `${lineup.id}, ${lineup.pages}: ${tally.contender.name}, round ${round} of ${rounds}`
      progress.update(label, (round + turn / tallies.length) / (rounds + 1))
      await takeTurn(lineup, tally, round, source.hash, context)
    }
  }
  const after = others.now()
  return {
    id: lineup.id,
    job: job.name,
    pages: lineup.pages,
    pieces: jobPieces(job),
    pieceBytes: job.pieceBytes,
    bytes: jobBytes(job),
    rounds,
    repeats: lineup.repeats,
    pauseMicros: lineup.pauseMicros,
    loadAverage1Minute: loadAverage1Minute(),
    othersCoresAverage: Math.max(
      0,
      (after.othersMicros - before.othersMicros) / (after.atMicros - before.atMicros),
    ),
    hash: source.hash,
    results: tallies.filter(({ runs }) => runs.length > 0).map((tally) => resultOf(tally, lineup)),
    failures: tallies.flatMap(({ contender, failed }) =>
      failed === undefined ? [] : [{ name: contender.name, why: failed }],
    ),
  }
}

/** A peer that fails leaves the lineup; anything of ours that fails ends the benchmark. */
async function takeTurn(
  lineup: Lineup,
  tally: Tally,
  round: number,
  hash: string,
  context: LineupContext,
): Promise<void> {
  if (tally.failed !== undefined) return
  try {
    if (round === 0) await warmUp(lineup, tally, hash, context)
    else if (takesPart(lineup, tally, round))
      tally.runs[round - 1] = await oneRun(lineup, tally, hash, context)
  } catch (thrown) {
    if (tally.contender.role !== "peer") throw thrown
    tally.failed = thrown instanceof Error ? thrown.message : String(thrown)
  }
}

/** One repeat is the very first; the rest warms up, and says how many repeats this contender has time for. */
async function warmUp(lineup: Lineup, tally: Tally, hash: string, context: LineupContext): Promise<void> {
  const first = await oneRun({ ...lineup, repeats: 1 }, tally, hash, context)
  tally.first = first.micros[0]!
  tally.prepare = first.prepareMicros
  if (lineup.repeats === 1) {
    // Each thread of ours compiles for itself; a ceiling has nothing to compile.
    const more = Math.min(warmUpFactor, Math.floor(warmUpMicrosMax / tally.first))
    if (more > 0) await oneRun({ ...lineup, repeats: more }, tally, hash, context)
    return
  }
  const probe = await oneRun(
    { ...lineup, repeats: Math.min(probeRepeats, lineup.repeats) },
    tally,
    hash,
    context,
  )
  const each = quantileOf(probe.micros, 0.5) + lineup.pauseMicros
  const affordable = Math.floor((lineup.secondsPerContender * 1e6) / (lineup.rounds + 1) / each)
  tally.repeats = Math.min(lineup.repeats, Math.max(probeRepeats, affordable))
  const more = lineup.pauseMicros === 0 ? tally.repeats * warmUpFactor : tally.repeats
  await oneRun({ ...lineup, repeats: Math.min(more, affordable * 2) || 1 }, tally, hash, context)
}

/** A slow contender sits rounds out, evenly, so that its runs still pair with the others'. */
function takesPart({ rounds, repeats, secondsPerContender }: Lineup, tally: Tally, round: number): boolean {
  if (repeats > 1) return true
  const perRun = tally.first / 1e6
  const wanted = Math.min(rounds, Math.max(roundsMin, Math.floor(secondsPerContender / perRun)))
  return Math.floor((round * wanted) / rounds) > Math.floor(((round - 1) * wanted) / rounds)
}

async function oneRun(
  { index, repeats, pauseMicros }: Lineup,
  tally: Tally,
  expected: string,
  { pair, damage }: LineupContext,
): Promise<RunTimes> {
  const { name, role, refills, landsAt } = tally.contender
  if (landsAt === "target") await pair.target.ask("wipe", { job: index, refill: refills === true })
  const run = await tally.contender.run(index, { repeats, pauseMicros }, damage && role === "kvferry")
  if (landsAt === "nowhere") return run
  const { hash, wrong } = await pair.target.ask("check", { job: index, at: landsAt, expected })
  if (hash !== expected) tally.wrong ??= `${name}: ${wrongText(wrong, hash, expected)}`
  return run
}

function resultOf(
  { contender, runs, first, repeats, prepare, wrong }: Tally,
  lineup: Lineup,
): ContenderResult {
  const { name, role, ceiling, landsAt } = contender
  const bytes = jobBytes(lineup.job)
  const done = runs.filter((run) => run !== undefined)
  const perGb = (micros: readonly number[]): number => (spreadOf(micros).median / bytes) * 1e3
  const byRound = Array.from({ length: lineup.rounds }, (_, round) => {
    const run = runs[round]
    return run === undefined ? null : quantileOf(run.micros, 0.5)
  })
  const micros = spreadOf(byRound.filter((time) => time !== null))
  const all = done.flatMap((run) => [...run.micros])
  return {
    name,
    role,
    ...(ceiling === undefined ? {} : { ceiling }),
    microsByRound: byRound,
    repeats,
    micros,
    p99Micros: quantileOf(all, 0.99),
    firstMicros: first,
    ...(prepare === undefined ? {} : { prepareMicros: prepare }),
    bytesPerSecond: rates(bytes, micros),
    sourceCpuSecondsPerGb: perGb(done.map((run) => run.sourceCpuMicros)),
    targetCpuSecondsPerGb: perGb(done.map((run) => run.targetCpuMicros)),
    verdict: landsAt === "nowhere" ? "no bytes" : wrong === undefined ? "identical" : "different",
    ...(wrong === undefined ? {} : { firstDifference: wrong }),
  }
}

function wrongText(wrong: WrongWord | undefined, hash: string, expected: string): string {
  if (wrong === undefined) return `the moved bytes hash to ${hash}, the source's to ${expected}`
  const { region, byteOffset, found, expected: word } = wrong
  return `region ${region}, offset ${byteOffset}: 0x${found.toString(16)} in place of 0x${word.toString(16)}`
}

/** The slowest time is the lowest rate. */
function rates(bytes: number, { median, min, max }: Spread): Spread {
  const rate = (micros: number): number => (bytes / micros) * 1e6
  return { median: rate(median), min: rate(max), max: rate(min) }
}
