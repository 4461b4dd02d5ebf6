import type { Style } from "../terminal/style.ts"
import { tableLines } from "../terminal/table.ts"
import { rateText, sizeText, timeText } from "../terminal/units.ts"
import type { EngineBench } from "./engine-bench.ts"
import type { MachineFacts } from "./machine.ts"
import type { PlanResult } from "./plan-bench.ts"
import type { Spread } from "./statistics.ts"
import type { MoverTimes, TransferBench, TransferResult } from "./transfer-bench.ts"

/** The record of one run of the bench. */
export interface BenchReport {
  readonly schema: "kvferry/bench/1"
  readonly software: string
  readonly startedAt: string
  readonly tookMillis: number
  readonly quick: boolean
  /** How the numbers are known: measured on this machine's processor and loopback device. No NIC is involved. */
  readonly evidence: "hardware"
  readonly machine: MachineFacts
  readonly loadAverage1MinuteBefore: number
  readonly loadAverage1MinuteAfter: number
  /** What was made smaller than it should be, and why. */
  readonly notes: readonly string[]
  readonly engine: EngineBench
  readonly plan: readonly PlanResult[]
  readonly tcp: TransferBench
  readonly verdict: "identical" | "different"
}

export function machineLines(machine: MachineFacts, load: number, style: Style): string[] {
  const { cpuModel, cores, memoryBytes, kernel, node } = machine
  const lines = [
    `${style.strong("Machine")}  ${cpuModel}, ${cores} cores, ${sizeText(memoryBytes)}, Linux ${kernel}, Node ${node}, load ${load.toFixed(2)}`,
  ]
  if (load > 0.5)
    lines.push(
      style.faint(
        "  this machine is or was busy with other work: compare within one run, not with other runs",
      ),
    )
  return lines
}

export function engineLines({ model, results }: EngineBench, style: Style): string[] {
  const rows = results.map(({ phase, tokens, tokensPerSecond }) => [
    phase,
    count(tokens),
    count(tokensPerSecond.median),
    `${count(tokensPerSecond.min)} to ${count(tokensPerSecond.max)}`,
  ])
  const columns = [
    { title: "phase" },
    { title: "tokens", number: true },
    { title: "tokens/s", number: true },
    { title: "min to max", number: true },
  ]
  return [style.strong(`Engine, ${model}, one thread`), ...indented(tableLines(columns, rows))]
}

export function planLines(results: readonly PlanResult[], style: Style): string[] {
  const rows = results.map(({ name, blocks, layers, pieces, micros, nanosPerBlockMedian }) => [
    `${count(blocks)} blocks ${name}`,
    count(layers),
    count(pieces),
    microsText(micros.median),
    `${microsText(micros.min)} to ${microsText(micros.max)}`,
    `${nanosPerBlockMedian.toFixed(0)} ns`,
  ])
  const columns = [
    { title: "plan" },
    { title: "layers", number: true },
    { title: "pieces", number: true },
    { title: "time", number: true },
    { title: "min to max", number: true },
    { title: "per block", number: true },
  ]
  return [style.strong("Plan"), ...indented(tableLines(columns, rows))]
}

export function tcpLines({ sourcePid, targetPid, results }: TransferBench, style: Style): string[] {
  const large = results.filter(({ repeatsPerRun }) => repeatsPerRun === 1)
  const small = results.filter(({ repeatsPerRun }) => repeatsPerRun > 1)
  const job = [{ title: "job" }, { title: "streams", number: true }]
  const rates = tableLines(
    [
      ...job,
      { title: "ceiling", number: true },
      { title: "min to max", number: true },
      { title: "kvferry", number: true },
      { title: "min to max", number: true },
      { title: "of ceiling", number: true },
      { title: "memcpy", number: true },
    ],
    large.map((result) => [
      `${result.name} (${megabytes(result.bytes)})`,
      String(result.streams),
      rateText(result.ceiling.bytesPerSecond.median),
      rateSpread(result.ceiling.bytesPerSecond),
      rateText(result.kvferry.bytesPerSecond.median),
      rateSpread(result.kvferry.bytesPerSecond),
      ratio(result.ratioToCeiling),
      rateText(result.memcpy.bytesPerSecond.median),
    ]),
  )
  const latencies = tableLines(
    [
      ...job,
      { title: "ceiling p50", number: true },
      { title: "p99", number: true },
      { title: "kvferry p50", number: true },
      { title: "p99", number: true },
      { title: "first", number: true },
      { title: "of ceiling", number: true },
      { title: "memcpy p50", number: true },
    ],
    small.map((result) => [
      result.name,
      String(result.streams),
      microsText(result.ceiling.micros.median),
      microsText(result.ceiling.p99Micros),
      microsText(result.kvferry.micros.median),
      microsText(result.kvferry.p99Micros),
      microsText(result.kvferry.firstMicros),
      ratio(result.ratioToCeiling),
      microsText(result.memcpy.micros.median),
    ]),
  )
  const costs = tableLines(
    [
      ...job,
      { title: "ceiling CPU, source + target", number: true },
      { title: "kvferry CPU, source + target", number: true },
      { title: "others", number: true },
      { title: "runs", number: true },
      { title: "bytes" },
      { title: "hash" },
    ],
    results.map((result) => [
      result.name,
      String(result.streams),
      cpuText(result.ceiling),
      cpuText(result.kvferry),
      `${result.othersCoresAverage.toFixed(1)} cores`,
      `${result.pairs} × ${result.repeatsPerRun}`,
      result.verdict,
      result.hash,
    ]),
  )
  return [
    style.strong(
      `TCP between two processes on loopback (source pid ${sourcePid}, target pid ${targetPid}), no payload encryption`,
    ),
    style.faint(
      "  ceiling: a plain loop of sendmsg/recvmsg, same bytes, same places, same streams, run in turn with kvferry",
    ),
    ...[rates, latencies, costs].flatMap((lines, i) =>
      i === 0 ? indented(lines) : ["", ...indented(lines)],
    ),
    ...results.flatMap((result) => differenceLine(result, style)),
  ]
}

export function integrityLines({ integrity }: TransferBench, style: Style): string[] {
  const { job, blocks, hashMicros, bytesPerSecond, shareOfTransfer } = integrity
  return [
    style.strong("Integrity"),
    `  xxh64 of ${count(blocks)} blocks (${job}): ${rateText(bytesPerSecond.median)} (${rateSpread(bytesPerSecond)}), ` +
      `${microsText(hashMicros.median)}: ${(shareOfTransfer * 100).toFixed(0)} % of plan + move + proof at the target`,
  ]
}

function differenceLine({ name, firstDifference }: TransferResult, style: Style): string[] {
  return firstDifference === undefined ? [] : [style.bad(`  ${name}: bytes differ: ${firstDifference}`)]
}

/** As `timeText`, and with a decimal where whole microseconds say too little. */
const microsText = (micros: number): string => (micros < 10 ? `${micros.toFixed(1)} µs` : timeText(micros))
const count = (value: number): string => Math.round(value).toLocaleString("en")
const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`
const rateSpread = ({ min, max }: Spread): string => `${(min / 1e9).toFixed(2)} to ${(max / 1e9).toFixed(2)}`
const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`)

function ratio({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`
}

function cpuText({ sourceCpuMicrosPerJobMedian, targetCpuMicrosPerJobMedian }: MoverTimes): string {
  return `${microsText(sourceCpuMicrosPerJobMedian)} + ${microsText(targetCpuMicrosPerJobMedian)}`
}
