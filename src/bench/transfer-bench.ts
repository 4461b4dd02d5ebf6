import { assert } from "../errors/assert.ts"
import type { Progress } from "../terminal/progress.ts"
import { throwIfInterrupted } from "./interrupted.ts"
import { type Job, jobBytes, jobPieces } from "./job.ts"
import { busyMicros, loadAverage1Minute } from "./machine.ts"
import type { WrongWord } from "./pattern.ts"
import { SideHandle } from "./side-handle.ts"
import type { Mover } from "./side-messages.ts"
import { quantileOf, type Spread, spreadOf } from "./statistics.ts"

/** The order of one pair. */
const inTurn = ["ceiling", "kvferry"] as const
/** Memory copies are a line of reference, not a side of a pair: a few are enough. */
const copiesMax = 3
/** Small jobs warm up for this many times their repeats: V8 compiles what runs often, and only then. */
const warmUpFactor = 4

/** What is measured of the tcp transport. */
export interface TransferBenchOptions {
  readonly layers: number
  readonly blocksPerLayer: number
  readonly cases: readonly TransferCase[]
  readonly progress: Progress
  readonly signal: AbortSignal
  /** Breaks a bit of what the last case's transfers brought: the check must notice. For a test. */
  readonly damage?: boolean
}

/** A job over some streams: `pairs` times ceiling then kvferry, each `repeats` times in a row. */
export interface TransferCase {
  readonly job: Job
  readonly streams: number
  readonly pairs: number
  readonly repeats: number
}

/** Times of one mover. A sample is the median of one run's repeats; `p99Micros` is over all repeats of all runs. */
export interface MoverTimes {
  readonly micros: Spread
  readonly p99Micros: number
  /** The very first job of this kind between the two processes, before anything was warm. */
  readonly firstMicros: number
  readonly bytesPerSecond: Spread
  readonly sourceCpuMicrosPerJobMedian: number
  readonly targetCpuMicrosPerJobMedian: number
}

/** One line of the record. */
export interface TransferResult {
  readonly name: string
  readonly pieces: number
  readonly pieceBytes: number
  readonly bytes: number
  readonly streams: number
  readonly pairs: number
  readonly repeatsPerRun: number
  readonly loadAverage1Minute: number
  /** Cores that other processes kept busy while this was measured; the hypervisor's share counts as others. */
  readonly othersCoresAverage: number
  readonly ceiling: MoverTimes
  readonly kvferry: MoverTimes
  readonly memcpy: MoverTimes
  /** The ceiling's time over kvferry's, pair by pair: 1 is the ceiling itself. */
  readonly ratioToCeiling: Spread
  /** Hash over the moved bytes; the source's own when all went well. */
  readonly hash: string
  readonly verdict: "identical" | "different"
  readonly firstDifference?: string
}

/** What proving costs, beside the transfer that it belongs to. */
export interface IntegrityResult {
  readonly job: string
  readonly bytes: number
  readonly blocks: number
  readonly hashMicros: Spread
  readonly bytesPerSecond: Spread
  readonly planMicrosMedian: number
  /** Hashing at the target over planning, moving and hashing there. The source hashed before, when it sealed. */
  readonly shareOfTransfer: number
}

/** Both processes, and what was found. */
export interface TransferBench {
  readonly sourcePid: number
  readonly targetPid: number
  readonly results: readonly TransferResult[]
  readonly integrity: IntegrityResult
}

/** Runs every case between two processes of their own. A wrong byte is a verdict, not an error. */
export async function benchTransfers(options: TransferBenchOptions): Promise<TransferBench> {
  const { layers, blocksPerLayer, cases, signal, progress } = options
  throwIfInterrupted(signal)
  await using source = new SideHandle("source", signal)
  await using target = new SideHandle("target", signal)
  progress.update("filling two pools")
  const jobs = cases.map(({ job }) => job)
  const pool = { jobs, layers, blocksPerLayer }
  await Promise.all([source.ask("open", pool), target.ask("open", pool)])
  for (const streams of new Set(cases.map((entry) => entry.streams))) {
    await target.ask("reach", await source.ask("offer", { streams }))
  }
  const bench = new Pairs(source, target)
  const results: TransferResult[] = []
  for (const [job, entry] of cases.entries()) {
    const damage = options.damage === true && job === cases.length - 1
    results.push(await bench.measure(job, entry, damage, progress))
  }
  progress.update("hashing what was moved")
  const integrity = await bench.integrity(cases[0]!.job, results[0]!)
  return { sourcePid: source.pid, targetPid: target.pid, results, integrity }
}

/** What one run gave. */
interface Run {
  readonly micros: readonly number[]
  readonly sourceCpuMicros: number
  readonly targetCpuMicros: number
  readonly hash: string
  readonly wrong: string | undefined
}

/** The two processes, as a series of runs sees them. */
class Pairs {
  readonly #source: SideHandle
  readonly #target: SideHandle

  constructor(source: SideHandle, target: SideHandle) {
    this.#source = source
    this.#target = target
  }

  async measure(
    job: number,
    entry: TransferCase,
    damage: boolean,
    progress: Progress,
  ): Promise<TransferResult> {
    const source = await this.#source.ask("check", { job, side: "source", expected: undefined })
    assert(source.wrong === undefined, "the source holds its own pattern")
    const runs: Record<Mover, Run[]> = { ceiling: [], kvferry: [], memcpy: [] }
    let bad: Run | undefined
    const firstMicros: Record<Mover, number> = { ceiling: 0, kvferry: 0, memcpy: 0 }
    const warmUp = { ...entry, repeats: entry.repeats > 1 ? entry.repeats * warmUpFactor : 1 }
    const { name } = entry.job
    const label = `${name} over ${entry.streams} ${entry.streams === 1 ? "stream" : "streams"}`
    const usageBefore = await this.#usage()
    // Pair 0 warms up: it is checked like the others, and not counted.
    for (let pair = 0; pair <= entry.pairs; pair++) {
      progress.update(`${label}, pair ${pair} of ${entry.pairs}`, pair / (entry.pairs + 1))
      const movers = pair <= copiesMax ? (["ceiling", "kvferry", "memcpy"] as const) : inTurn
      for (const mover of movers) {
        const run = await this.#run(
          job,
          pair === 0 ? warmUp : entry,
          mover,
          source.hash,
          damage && mover === "kvferry",
        )
        if (pair === 0) firstMicros[mover] = run.micros[0]!
        else runs[mover].push(run)
        bad ??= run.wrong === undefined ? undefined : run
      }
    }
    const usage = await this.#usage()
    const others = usage.othersMicros - usageBefore.othersMicros
    const othersCoresAverage = Math.max(0, others / (usage.atMicros - usageBefore.atMicros))
    return resultOf(entry, { othersCoresAverage, runs, firstMicros, hash: source.hash, bad })
  }

  /** Hashes the blocks of the last run of job 0, where they lie. */
  async integrity(job: Job, moved: TransferResult): Promise<IntegrityResult> {
    const costs = []
    for (let i = 0; i < 5; i++) costs.push(await this.#target.ask("fingerprint", { job: 0 }))
    const hashMicros = spreadOf(costs.map((cost) => cost.hashMicros))
    const planMicrosMedian = spreadOf(costs.map((cost) => cost.planMicros)).median
    const bytes = jobBytes(job)
    return {
      job: job.name,
      bytes,
      blocks: jobPieces(job),
      hashMicros,
      bytesPerSecond: rates(bytes, hashMicros),
      planMicrosMedian,
      shareOfTransfer:
        hashMicros.median / (planMicrosMedian + moved.kvferry.micros.median + hashMicros.median),
    }
  }

  async #run(
    job: number,
    entry: TransferCase,
    mover: Mover,
    expected: string,
    damage: boolean,
  ): Promise<Run> {
    const { streams, repeats } = entry
    await this.#target.ask("wipe", { job })
    const before = await this.#cpu()
    const { micros } = await this.#target.ask("move", { job, mover, streams, repeats, damage })
    const after = await this.#cpu()
    const { hash, wrong } = await this.#target.ask("check", { job, side: "target", expected })
    return {
      micros,
      sourceCpuMicros: (after.source - before.source) / repeats,
      targetCpuMicros: (after.target - before.target) / repeats,
      hash,
      wrong: hash === expected ? undefined : `${mover}: ${wrongText(wrong, hash, expected)}`,
    }
  }

  /** What everybody but the bench has used of all cores so far. */
  async #usage(): Promise<{ readonly atMicros: number; readonly othersMicros: number }> {
    const { source, target } = await this.#cpu()
    const { user, system } = process.cpuUsage()
    return {
      atMicros: performance.now() * 1000,
      othersMicros: busyMicros() - source - target - user - system,
    }
  }

  async #cpu(): Promise<{ source: number; target: number }> {
    const [source, target] = await Promise.all([this.#source.ask("cpu", {}), this.#target.ask("cpu", {})])
    return { source: source.micros, target: target.micros }
  }
}

/** Everything that the runs of one case gave. */
interface Findings {
  readonly othersCoresAverage: number
  readonly runs: Readonly<Record<Mover, readonly Run[]>>
  readonly firstMicros: Readonly<Record<Mover, number>>
  readonly hash: string
  /** The first run that brought a wrong byte. */
  readonly bad: Run | undefined
}

function resultOf({ job, streams, pairs, repeats }: TransferCase, findings: Findings): TransferResult {
  const { othersCoresAverage, runs, firstMicros, hash, bad } = findings
  const middle = (run: Run): number => quantileOf(run.micros, 0.5)
  const bytes = jobBytes(job)
  return {
    name: job.name,
    pieces: jobPieces(job),
    pieceBytes: job.pieceBytes,
    bytes,
    streams,
    pairs,
    repeatsPerRun: repeats,
    loadAverage1Minute: loadAverage1Minute(),
    othersCoresAverage,
    ceiling: timesOf(runs.ceiling, firstMicros.ceiling, bytes),
    kvferry: timesOf(runs.kvferry, firstMicros.kvferry, bytes),
    memcpy: timesOf(runs.memcpy, firstMicros.memcpy, bytes),
    ratioToCeiling: spreadOf(runs.kvferry.map((run, pair) => middle(runs.ceiling[pair]!) / middle(run))),
    hash: bad?.hash ?? hash,
    verdict: bad === undefined ? "identical" : "different",
    ...(bad?.wrong === undefined ? {} : { firstDifference: bad.wrong }),
  }
}

function wrongText(wrong: WrongWord | undefined, hash: string, expected: string): string {
  if (wrong === undefined) return `the moved bytes hash to ${hash}, the source's to ${expected}`
  const { region, byteOffset, found, expected: word } = wrong
  return `region ${region}, offset ${byteOffset}: 0x${found.toString(16)} in place of 0x${word.toString(16)}`
}

function timesOf(runs: readonly Run[], firstMicros: number, bytes: number): MoverTimes {
  const micros = spreadOf(runs.map((run) => quantileOf(run.micros, 0.5)))
  return {
    micros,
    p99Micros: quantileOf(
      runs.flatMap((run) => run.micros),
      0.99,
    ),
    firstMicros,
    bytesPerSecond: rates(bytes, micros),
    sourceCpuMicrosPerJobMedian: spreadOf(runs.map((run) => run.sourceCpuMicros)).median,
    targetCpuMicrosPerJobMedian: spreadOf(runs.map((run) => run.targetCpuMicros)).median,
  }
}

/** The slowest time is the lowest rate. */
function rates(bytes: number, { median, min, max }: Spread): Spread {
  const rate = (micros: number): number => (bytes / micros) * 1e6
  return { median: rate(median), min: rate(max), max: rate(min) }
}
