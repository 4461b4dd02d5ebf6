import { writeFileSync } from "node:fs"
import { softwareVersion } from "../serve/version.ts"
import { progressOn } from "../terminal/progress.ts"
import { type Style, styleFor } from "../terminal/style.ts"
import { sizeText } from "../terminal/units.ts"
import type { BenchFindings, BenchReport } from "./bench-report.ts"
import { buildCeilings } from "./ceilings/build-ceilings.ts"
import { benchEngine } from "./engine-bench.ts"
import { poolBytes } from "./job.ts"
import { availableBytes, loadAverage1Minute, machineFacts } from "./machine.ts"
import type { PeerKind } from "./peers/peer-list.ts"
import { type JobName, type PhaseOptions, runPhases } from "./phases.ts"
import { targetLines } from "./report/other-lines.ts"
import { recordFiles } from "./report/record.ts"
import { findingsLines, headLines } from "./report/report-lines.ts"
import type { Lane } from "./sides/lanes.ts"
import { type BenchSizes, fullSizes, quickSizes } from "./sizes.ts"
import { judgeTargets } from "./targets.ts"

/** Two pools, filled, and as much again to be polite. */
const roomForPools = 4

export interface BenchOptions {
  readonly quick: boolean
  readonly json: boolean
  /** A page to write the record to, with its pictures beside it. */
  readonly record: string | undefined
  readonly lanes: readonly Lane[]
  readonly families: (family: PeerKind["family"]) => boolean
  readonly jobs: ReadonlySet<JobName>
  /** A Python that has the peers. */
  readonly python: string | undefined
  /** False leaves the C ceilings out, as on a machine without a compiler. */
  readonly compiler: boolean
}

/**
 * Measures kvferry beside its ceilings and its peers, prints what it found, and holds it against the targets.
 *
 * Sets exit code 1 when a moved byte was wrong. A target that is not reached is no failure: times are no test.
 * @throws KvError KV_CANCELLED when interrupted; KV_OS without the memory; KV_WORKER_LOST.
 */
export async function runBench(options: BenchOptions): Promise<void> {
  const abort = new AbortController()
  const interrupt = (): void => abort.abort()
  process.once("SIGINT", interrupt)
  process.once("SIGTERM", interrupt)
  const progress = progressOn(process.stderr)
  const style = styleFor(process.stdout)
  const tell = (lines: readonly string[]): void => {
    progress.end()
    if (!options.json && lines.length > 0) process.stdout.write(`${lines.join("\n")}\n\n`)
  }
  try {
    const report = await measure(options, {
      style,
      tell,
      phases: { progress, signal: abort.signal, damage: false },
    })
    tell(targetLines(report.targets, style))
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
    if (options.record !== undefined) {
      for (const { file, text } of recordFiles(options.record, report)) writeFileSync(file, text)
    }
    if (report.verdict === "different") process.exitCode = 1
  } finally {
    progress.end()
    process.off("SIGINT", interrupt)
    process.off("SIGTERM", interrupt)
  }
}

interface BenchOutput {
  readonly style: Style
  readonly tell: (lines: readonly string[]) => void
  readonly phases: Pick<PhaseOptions, "progress" | "signal" | "damage">
}

/** Everything but the command line: sizes can be those of a test. */
export async function measure(
  options: BenchOptions & { readonly sizes?: BenchSizes },
  { style, tell, phases }: BenchOutput,
): Promise<BenchReport> {
  const { quick, jobs, lanes, families, python } = options
  const startedAt = new Date().toISOString()
  const started = performance.now()
  const loadBefore = loadAverage1Minute()
  const built = options.compiler ? buildCeilings() : { file: undefined, why: "--no-compiler" }
  const wanted = options.sizes ?? (quick ? quickSizes : fullSizes)
  const { sizes, notes } = roomFor(wanted, availableBytes())
  const ceilings =
    built.file === undefined
      ? `the FFI's, for want of C (${built.why}): memmove in one process, plain sendmsg/recvmsg loops`
      : `C, compiled by ${built.compiler}, in the same processes, over the same pages`
  let findings: BenchFindings = {
    machine: machineFacts(),
    ceilings,
    notes,
    peers: [],
    lineups: [],
    plans: [],
    integrity: [],
    idle: [],
    curves: [],
  }
  const found = (part: Partial<BenchFindings>): void => {
    findings = added(findings, part)
    tell(findingsLines({ ...emptyOf(findings), ...part }, style))
  }
  tell(headLines(findings, loadBefore, style))
  if (jobs.has("engine")) {
    const lengths = { prompts: [64, 256, 1200], contexts: [32, 512, 1200] }
    found({ engine: await benchEngine({ ...lengths, runs: quick ? 3 : 15, ...phases }) })
  }
  await runPhases({ sizes, quick, lanes, jobs, python, families, library: built.file, ...phases, found })
  return {
    schema: "kvferry/bench/2",
    software: softwareVersion(),
    startedAt,
    tookMillis: Math.round(performance.now() - started),
    quick,
    evidence: "hardware",
    loadAverage1MinuteBefore: loadBefore,
    loadAverage1MinuteAfter: loadAverage1Minute(),
    ...findings,
    targets: judgeTargets(findings),
    verdict: findings.lineups.some(({ results }) => results.some(({ verdict }) => verdict === "different"))
      ? "different"
      : "identical",
  }
}

/** Lists grow; single things are set. */
function added(findings: BenchFindings, part: Partial<BenchFindings>): BenchFindings {
  return {
    ...findings,
    ...part,
    lineups: [...findings.lineups, ...(part.lineups ?? [])],
    plans: [...findings.plans, ...(part.plans ?? [])],
    integrity: [...findings.integrity, ...(part.integrity ?? [])],
    curves: [...findings.curves, ...(part.curves ?? [])],
  }
}

function emptyOf({ machine, ceilings }: BenchFindings): BenchFindings {
  const none = { notes: [], peers: [], lineups: [], plans: [], integrity: [], idle: [], curves: [] }
  return { machine, ceilings, ...none }
}

/** Fewer layers when the machine has no room for the pools, and then it says so. */
function roomFor(
  sizes: BenchSizes,
  available: number,
): { readonly sizes: BenchSizes; readonly notes: readonly string[] } {
  const wanted = poolBytes(sizes.pool) * roomForPools
  if (available >= wanted) return { sizes, notes: [] }
  const layers = Math.max(1, Math.floor((sizes.pool.layers * available) / wanted))
  const note =
    `the jobs have ${layers} layers in place of ${sizes.pool.layers}: ` +
    `${sizeText(available)} of memory are available, ${sizeText(wanted)} are wanted`
  return { sizes: { ...sizes, pool: { ...sizes.pool, layers } }, notes: [note] }
}
