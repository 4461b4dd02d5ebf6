import type { Style } from "../../terminal/style.ts"
import { tableLines } from "../../terminal/table.ts"
import { rateText, sizeText } from "../../terminal/units.ts"
import type { BenchFindings } from "../bench-report.ts"
import type { Curve } from "../curves.ts"
import type { EngineBench } from "../engine-bench.ts"
import type { MachineFacts } from "../machine.ts"
import type { PeerFact } from "../peers/peers.ts"
import type { TargetResult } from "../target-result.ts"
import { plotLines } from "./plot.ts"
import { count, indented, microsText, ratioNumber, ratioText, timeRange } from "./text.ts"

export function machineLines(machine: MachineFacts, load: number, style: Style): string[] {
  const { cpuModel, cores, caches, memoryBytes, kernel, node, hugePages, sharedMemoryHugePages } = machine
  const lines = [
    `${style.strong("Machine")}  ${cpuModel}, ${cores} cores, ${caches}, ${sizeText(memoryBytes)}, Linux ${kernel}, Node ${node}, load ${load.toFixed(2)}`,
    style.faint(
      `  transparent huge pages: ${hugePages}; for shared memory: ${sharedMemoryHugePages}; ${machine.virtual}`,
    ),
  ]
  if (load <= 0.5) return lines
  const warning = "this machine is or was busy with other work: compare within one run, not with other runs"
  return [...lines, style.faint(`  ${warning}`)]
}

export function peerLines(peers: readonly PeerFact[], style: Style): string[] {
  if (peers.length === 0) return []
  const rows = peers.map(({ name, about }) => [name, about])
  return [style.strong("Peers"), ...indented(tableLines([{ title: "name" }, { title: "what runs" }], rows))]
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

export function planLines({ plans }: Pick<BenchFindings, "plans">, style: Style): string[] {
  if (plans.length === 0) return []
  const rows = plans.map(({ job, lane, planMicros, prepareMicros, readMicros, nanosPerPieceMedian }) => [
    job,
    lane,
    microsText(planMicros.median),
    timeRange(planMicros),
    microsText(prepareMicros.median),
    microsText(readMicros.median),
    timeRange(readMicros),
    `${nanosPerPieceMedian.toFixed(0)} ns`,
  ])
  const columns = [
    { title: "job" },
    { title: "lane" },
    { title: "plan", number: true },
    { title: "min to max", number: true },
    { title: "prepare", number: true },
    { title: "a read, all of it", number: true },
    { title: "min to max", number: true },
    { title: "a piece", number: true },
  ]
  return [style.strong("Plan"), ...indented(tableLines(columns, rows))]
}

export function integrityLines(findings: BenchFindings, style: Style): string[] {
  const { integrity, hashBytesPerSecond } = findings
  if (integrity.length === 0 || hashBytesPerSecond === undefined) return []
  const rows = integrity.map(({ lane, level, extra, extraCpu, explained }) => [
    lane,
    level,
    ratioText(extra),
    explained === 0 ? "" : ratioNumber(explained),
    ratioNumber(extraCpu),
  ])
  const columns = [
    { title: "lane" },
    { title: "level" },
    { title: "extra time", number: true },
    { title: "explained by the rates", number: true },
    { title: "extra CPU", number: true },
  ]
  return [
    style.strong("Integrity"),
    style.faint(
      `  tickets at each level beside tickets at none; xxh64 over the landed blocks, one thread: ${rateText(hashBytesPerSecond.median)}`,
    ),
    ...indented(tableLines(columns, rows)),
  ]
}

export function idleLines({ idle }: Pick<BenchFindings, "idle">, style: Style): string[] {
  if (idle.length === 0) return []
  const rows = idle.map(({ name, sourceCores, targetCores }) => [
    name,
    sourceCores.toFixed(3),
    targetCores.toFixed(3),
  ])
  const columns = [
    { title: "connected, nothing moves" },
    { title: "source cores", number: true },
    { title: "target cores", number: true },
  ]
  return [style.strong("Idle"), ...indented(tableLines(columns, rows))]
}

export function curveLines(curve: Curve, style: Style): string[] {
  const rows = curve.points.map(({ count: n, micros, microsPerUnitMedian }) => [
    count(n),
    microsText(micros.median),
    timeRange(micros),
    microsText(microsPerUnitMedian),
  ])
  const columns = [
    { title: curve.unit, number: true },
    { title: "all", number: true },
    { title: "min to max", number: true },
    { title: "each", number: true },
  ]
  return [
    `${style.strong(`1 to ${count(curve.points.at(-1)!.count)} ${curve.unit}`)} over ${curve.lane}, each a ${curve.each}`,
    ...indented(tableLines(columns, rows)),
    ...indented(plotLines(curve.points.map(({ count: x, microsPerUnitMedian: y }) => ({ x, y })))),
  ]
}

export function targetLines(targets: readonly TargetResult[], style: Style): string[] {
  const rows = targets.map(({ what, bound, verdict, why, ...target }) => [
    what,
    bound,
    boundText(target),
    target.value === undefined
      ? ""
      : `${ratioText(target.value)}${target.unit === "ratio" ? "" : ` ${target.unit}`}`,
    why === undefined ? verdict : `${verdict}: ${why}`,
  ])
  const columns = [
    { title: "target" },
    { title: "what is compared" },
    { title: "bound", number: true },
    { title: "this run", number: true },
    { title: "" },
  ]
  const [head, ...body] = tableLines(columns, rows)
  const painted = body.map((line, i) => {
    const { verdict } = targets[i]!
    if (verdict === "not measured") return style.faint(line)
    return verdict === "reached"
      ? line.replace(/reached$/, style.good)
      : line.replace(/not reached$/, style.bad)
  })
  return [style.strong("Targets"), ...indented([head!, ...painted])]
}

function boundText({ atLeast, atMost }: Pick<TargetResult, "atLeast" | "atMost">): string {
  return atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`
}
