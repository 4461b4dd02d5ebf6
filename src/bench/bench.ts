import { softwareVersion } from "../serve/version.ts"
import { progressOn } from "../terminal/progress.ts"
import { styleFor } from "../terminal/style.ts"
import { sizeText } from "../terminal/units.ts"
import { benchEngine } from "./engine-bench.ts"
import { type Job, jobBytes, jobPieces } from "./job.ts"
import { availableBytes, loadAverage1Minute, machineFacts } from "./machine.ts"
import { benchPlans } from "./plan-bench.ts"
import { type BenchReport, engineLines, integrityLines, machineLines, planLines, tcpLines } from "./report.ts"
import { benchTransfers, type TransferCase } from "./transfer-bench.ts"

const kib = 2 ** 10
const blockBytes = 64 * kib
/** Two pools, one of them filled on both halves: three times the large job, and as much again to be polite. */
const roomForJob = 4

export interface BenchOptions {
  readonly quick: boolean
  readonly json: boolean
}

/**
 * Measures the engine, the plan, and the tcp transport beside its ceiling, and prints what it found.
 *
 * Sets exit code 1 when a moved byte was wrong.
 * @throws KvError KV_CANCELLED when interrupted; KV_OS without the memory; KV_WORKER_LOST.
 */
export async function runBench({ quick, json }: BenchOptions): Promise<void> {
  const abort = new AbortController()
  const interrupt = (): void => abort.abort()
  process.once("SIGINT", interrupt)
  process.once("SIGTERM", interrupt)
  const progress = progressOn(process.stderr)
  try {
    const write = json ? () => {} : (text: string) => void process.stdout.write(text)
    const report = await measure(quick, { progress, write, signal: abort.signal })
    if (json) process.stdout.write(`${JSON.stringify(report)}\n`)
    if (report.verdict === "different") process.exitCode = 1
  } finally {
    progress.end()
    process.off("SIGINT", interrupt)
    process.off("SIGTERM", interrupt)
  }
}

interface BenchOutput {
  readonly progress: ReturnType<typeof progressOn>
  readonly signal: AbortSignal
  write(text: string): void
}

async function measure(quick: boolean, { progress, signal, write }: BenchOutput): Promise<BenchReport> {
  const style = styleFor(process.stdout)
  const startedAt = new Date().toISOString()
  const started = performance.now()
  const machine = machineFacts()
  const loadBefore = loadAverage1Minute()
  const tell = (lines: readonly string[]): void => {
    progress.end()
    write(`${lines.join("\n")}\n\n`)
  }
  tell(machineLines(machine, loadBefore, style))

  const runs = quick ? 5 : 15
  const lengths = { prompts: [64, 256, 1200], contexts: [32, 512, 1200] }
  const engine = await benchEngine({ ...lengths, runs, progress, signal })
  tell(engineLines(engine, style))

  progress.update("planning")
  const plan = benchPlans({ repeats: quick ? 40 : 200 })
  tell(planLines(plan, style))

  const { layers, notes } = roomFor(availableBytes())
  const cases = transferCases(layers, quick)
  const tcp = await benchTransfers({ layers, blocksPerLayer: 128, cases, progress, signal })
  tell([...tcpLines(tcp, style), ...notes.map((note) => style.faint(`  ${note}`))])
  tell(integrityLines(tcp, style))
  return {
    schema: "kvferry/bench/1",
    software: softwareVersion(),
    startedAt,
    tookMillis: Math.round(performance.now() - started),
    quick,
    evidence: "hardware",
    machine,
    loadAverage1MinuteBefore: loadBefore,
    loadAverage1MinuteAfter: loadAverage1Minute(),
    notes,
    engine,
    plan,
    tcp,
    verdict: tcp.results.some(({ verdict }) => verdict === "different") ? "different" : "identical",
  }
}

function transferCases(layers: number, quick: boolean): TransferCase[] {
  const large: Job = {
    name: `${(layers * 128).toLocaleString("en")} × 64 KiB`,
    layers,
    blocksPerLayer: 128,
    pieceBytes: blockBytes,
  }
  const small: Job = { name: "20 × 64 KiB", layers: 10, blocksPerLayer: 2, pieceBytes: blockBytes }
  const tiny: Job = { name: "1 × 4 KiB", layers: 1, blocksPerLayer: 1, pieceBytes: 4 * kib }
  const pairs = quick ? 5 : 25
  return [
    { job: large, streams: 1, pairs, repeats: 1 },
    { job: large, streams: 2, pairs, repeats: 1 },
    { job: small, streams: 1, pairs, repeats: quick ? 300 : 500 },
    { job: tiny, streams: 1, pairs, repeats: quick ? 2000 : 5000 },
  ]
}

/** The large job has 50 layers of 128 blocks; fewer when the machine has no room for that, and then it says so. */
function roomFor(available: number): { readonly layers: number; readonly notes: readonly string[] } {
  const full = { name: "full", layers: 50, blocksPerLayer: 128, pieceBytes: blockBytes }
  const wanted = jobBytes(full) * roomForJob
  if (available >= wanted) return { layers: full.layers, notes: [] }
  const layers = Math.max(10, Math.floor((full.layers * available) / wanted))
  const pieces = jobPieces({ ...full, layers })
  const note =
    `the large job has ${pieces} blocks in place of ${jobPieces(full)}: ` +
    `${sizeText(available)} of memory are available, ${sizeText(wanted)} are wanted`
  return { layers, notes: [note] }
}
