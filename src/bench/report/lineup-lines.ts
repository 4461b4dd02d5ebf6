import type { Style } from "../../terminal/style.ts"
import { type Column, tableLines } from "../../terminal/table.ts"
import { rateText, sizeText } from "../../terminal/units.ts"
import type { ContenderResult, LineupResult } from "../lineup.ts"
import { speedRatio } from "../statistics.ts"
import { count, indented, microsText, rateRange, ratioNumber, ratioText } from "./text.ts"

/** What each lineup is called in print. */
const titles: Readonly<Record<string, string>> = {
  kv: "KV: a prompt's cache",
  attach: "ATTACH: a prompt's cache used in place, again and again, nothing copied",
  integrity: "KV as tickets at each level of integrity",
  small: "SMALL: a short prompt",
  tiny: "TINY: very many small pieces",
  "read, awake": "READ: one piece, asked for again and again",
  "read, idle": "READ: one piece, asked for after a rest",
}

/** One table: who moved the job, how fast, how near to its ceiling, at what cost. */
export function lineupLines(lineup: LineupResult, style: Style): string[] {
  const large = lineup.repeats === 1
  const columns: Column[] = [
    { title: "" },
    ...(large
      ? [
          { title: "GB/s", number: true },
          { title: "min to max", number: true },
        ]
      : [
          { title: "p50", number: true },
          { title: "p99", number: true },
          { title: "first", number: true },
        ]),
    { title: "speed to its ceiling", number: true },
    { title: large ? "CPU s/GB, source + target" : "CPU of one, source + target", number: true },
    ...(large ? [{ title: "to its ceiling's", number: true }] : []),
    { title: "bytes" },
  ]
  const rows = lineup.results.map((result) => [
    result.name,
    ...(large
      ? [rateText(result.bytesPerSecond.median), rateRange(result.bytesPerSecond)]
      : [microsText(result.micros.median), microsText(result.p99Micros), microsText(result.firstMicros)]),
    toCeiling(lineup, result),
    large
      ? `${result.sourceCpuSecondsPerGb.toFixed(3)} + ${result.targetCpuSecondsPerGb.toFixed(3)}`
      : `${cpuOfOne(lineup, result.sourceCpuSecondsPerGb)} + ${cpuOfOne(lineup, result.targetCpuSecondsPerGb)}`,
    ...(large ? [cpuToCeiling(lineup, result)] : []),
    result.verdict,
  ])
  const [head, ...body] = tableLines(columns, rows)
  const painted = body.map((line, i) => (lineup.results[i]!.role === "kvferry" ? style.strong(line) : line))
  return [
    `${style.strong(titles[lineup.id] ?? lineup.id)}, ${lineup.job} (${sizeText(lineup.bytes)}), ${lineup.pages}`,
    style.faint(`  ${howText(lineup)}`),
    ...indented([head!, ...painted]),
    ...lineup.results.flatMap(({ firstDifference }) =>
      firstDifference === undefined ? [] : [style.bad(`  bytes differ: ${firstDifference}`)],
    ),
    ...lineup.failures.map(({ name, why }) => style.faint(`  ${name} left: ${why}`)),
  ]
}

/** Processor time over the ceiling's: it moves less than the clock when others use the machine. */
function cpuToCeiling(lineup: LineupResult, result: ContenderResult): string {
  const bound = lineup.results.find(({ name }) => name === result.ceiling)
  const cpu = (of: ContenderResult): number => of.sourceCpuSecondsPerGb + of.targetCpuSecondsPerGb
  return bound === undefined ? "" : ratioNumber(cpu(result) / cpu(bound))
}

const cpuOfOne = ({ bytes }: LineupResult, secondsPerGb: number): string =>
  microsText((secondsPerGb * bytes) / 1e3)

function howText({ rounds, repeats, pauseMicros, othersCoresAverage, hash }: LineupResult): string {
  const runs =
    repeats === 1
      ? `${count(rounds)} rounds, each run once a round, in turn`
      : `${count(rounds)} rounds of ${count(repeats)}${pauseMicros > 0 ? `, ${pauseMicros / 1000} ms of sleep before each` : ""}, in turn`
  return `${runs}; others kept ${othersCoresAverage.toFixed(1)} cores busy; hash ${hash}`
}

function toCeiling(lineup: LineupResult, { ceiling, microsByRound }: ContenderResult): string {
  const bound = lineup.results.find(({ name }) => name === ceiling)
  const ratio = bound === undefined ? undefined : speedRatio(microsByRound, bound.microsByRound)
  return ratio === undefined ? "" : ratioText(ratio)
}
