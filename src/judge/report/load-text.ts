import { tightLogAxis } from "../../page/axis.ts"
import { oneLine } from "../../terminal/one-line.ts"
import type { Style } from "../../terminal/style.ts"
import type { LoadDocument, LoadResult } from "../load-document.ts"
import { baseOf, fixed, microsText, ratioNumber, unprovenWord } from "./figures.ts"
import { withoutUnproven } from "./proven.ts"

/** How wide the terminal is, and how words are painted: every chart can be read without colour. */
export interface ChartOptions {
  readonly columns: number
  readonly style: Style
}

/** Below this many columns a bar says nothing: the figures stand alone. */
const barMin = 10
const barMax = 60
const nameMax = 28

/** Speed beside the first engine, time of one transfer, and round by round, as text. Empty where nothing was proven. */
export function loadChartLines(record: LoadDocument, { columns, style }: ChartOptions): string[] {
  const document = withoutUnproven(record)
  const names = new Map(document.results.map((result) => [result, oneLine(result.engine, nameMax)]))
  const nameWidth = Math.max(0, ...[...names.values()].map((name) => name.length))
  const nameOf = (result: LoadResult): string => names.get(result)!.padEnd(nameWidth)
  const parts = [
    ratioLines(document, { columns, style }, nameOf),
    latencyLines(document, { columns, style }, nameOf),
    roundLines(document, { columns, style }, nameOf),
  ]
  return parts.filter((lines) => lines.length > 0).flatMap((lines, i) => (i === 0 ? lines : ["", ...lines]))
}

type NameOf = (result: LoadResult) => string

/** A bar from 0, solid up to the interval's lower end, hatched up to its upper end; the ceiling as a line through all. */
function ratioLines({ results }: LoadDocument, { columns, style }: ChartOptions, nameOf: NameOf): string[] {
  const base = baseOf(results)
  const rows = results.flatMap((result) => {
    const ratio = result === base ? { median: 1, low: 1, high: 1 } : result.ratio
    return ratio === undefined ? [] : [{ result, ratio }]
  })
  if (base === undefined || rows.length < 2) return []
  const texts = new Map(
    rows.map(({ result, ratio }) => [
      result,
      result === base ? "1" : `${ratioNumber(ratio.median)} (${fixed(ratio.low)} to ${fixed(ratio.high)})`,
    ]),
  )
  const figures = Math.max(...[...texts.values()].map((text) => text.length))
  const width = barWidth(columns, nameOf(base).length, figures)
  const most = Math.max(...rows.map(({ ratio }) => ratio.high))
  const ceiling = Math.max(...rows.map(({ result, ratio }) => (result.role === "ceiling" ? ratio.median : 0)))
  const lines = results.flatMap((result) => {
    const row = rows.find((one) => one.result === result)
    if (row === undefined) return wrongLine(result, { columns, style }, nameOf)
    const text = texts.get(result)!.padEnd(figures)
    const bar = width === 0 ? "" : `  ${barOf(row.ratio, ceiling, most, width)}`
    const line = `  ${nameOf(result)}  ${text}${bar}`.trimEnd()
    return [result.role === "ceiling" ? style.faint(line) : line]
  })
  const key =
    width === 0
      ? ""
      : `: ▒ from the lower to the upper end of the 95 % interval${ceiling > 0 ? ", ┊ the ceiling" : ""}`
  return [
    style.strong(`Speed beside ${oneLine(base.engine, nameMax)}`),
    ...lines,
    ...folded(`paired round by round${key}`, columns, style),
  ]
}

function barOf(
  { low, high }: { readonly low: number; readonly high: number },
  ceiling: number,
  most: number,
  width: number,
): string {
  const column = (value: number): number => Math.round((value / most) * width)
  return Array.from({ length: width }, (_, i) => {
    if (i < column(low)) return "█"
    // An interval is never hidden by rounding; a bar of no length is no bar.
    if (i < Math.max(column(high), low === high ? 0 : column(low) + 1)) return "▒"
    return ceiling > 0 && i === Math.min(width - 1, column(ceiling)) ? "┊" : " "
  })
    .join("")
    .trimEnd()
}

const marks = [
  ["p50", "●"],
  ["p90", "◆"],
  ["p99", "▲"],
  ["p999", "■"],
] as const

/** Quantiles as marks on one logarithmic axis of time: to the left is faster. */
function latencyLines({ results }: LoadDocument, { columns, style }: ChartOptions, nameOf: NameOf): string[] {
  const rows = results.filter(({ latency }) => latency !== undefined)
  if (rows.length === 0) return []
  const text = ({ p50, p99 }: NonNullable<LoadResult["latency"]>): string =>
    `${microsText(p50).padStart(8)}  ${microsText(p99).padStart(8)}`
  const width = barWidth(columns, nameOf(rows[0]!).length, 18)
  const axis = tightLogAxis(
    rows.flatMap(({ latency }) => marks.map(([key]) => latency![key])),
    0,
    width - 1,
  )
  const lines = rows.map((result) => {
    const cells = Array.from({ length: width }, () => "·")
    // The usual before the rare: where two stand in one place, p50 is seen.
    if (width > 0)
      for (const [key, mark] of marks.toReversed()) cells[Math.round(axis.at(result.latency![key]))] = mark
    const line = `  ${nameOf(result)}  ${text(result.latency!)}  ${cells.join("")}`.trimEnd()
    return result.role === "ceiling" ? style.faint(line) : line
  })
  const key = `${microsText(axis.ticks[0]!)} to ${microsText(axis.ticks.at(-1)!)}, logarithmic: ● p50 ◆ p90 ▲ p99 ■ p99.9`
  return [
    style.strong("Time of one transfer"),
    style.faint(`  ${" ".repeat(nameOf(rows[0]!).length)}  ${"p50".padStart(8)}  ${"p99".padStart(8)}`),
    ...lines,
    ...(width === 0 ? [] : folded(key, columns, style)),
  ]
}

const levels = [..."▁▂▃▄▅▆▇█"]

/** Each round's time between the engine's own fastest and slowest round: a drift or a step shows, not who is faster. */
function roundLines({ results }: LoadDocument, { columns, style }: ChartOptions, nameOf: NameOf): string[] {
  const rows = results.filter(
    ({ microsByRound }) => microsByRound.filter((micros) => micros !== null).length > 1,
  )
  const width = rows.length === 0 ? 0 : barWidth(columns, nameOf(rows[0]!).length, 20)
  if (width === 0) return []
  const lines = rows.map((result) => {
    const times = result.microsByRound.flatMap((micros) => micros ?? [])
    const [min, max] = [Math.min(...times), Math.max(...times)]
    const range = `${microsText(min)} to ${microsText(max)}`.padEnd(20)
    const spark = gathered(result.microsByRound, width).map((micros) =>
      micros === null
        ? " "
        : levels[max === min ? 0 : Math.round(((micros - min) / (max - min)) * (levels.length - 1))]!,
    )
    const line = `  ${nameOf(result)}  ${range}  ${spark.join("")}`.trimEnd()
    return result.role === "ceiling" ? style.faint(line) : line
  })
  const rounds = Math.max(...rows.map(({ microsByRound }) => microsByRound.length))
  const each = Math.ceil(rounds / width)
  const many = each === 1 ? "" : `, the slowest of ${each} in each column`
  return [
    style.strong("Round by round"),
    ...lines,
    ...folded(`${rounds} rounds${many}, each engine between its own fastest and slowest`, columns, style),
  ]
}

/** At most `width` times: the slowest of each group, so that no outlier is lost. */
function gathered(times: readonly (number | null)[], width: number): (number | null)[] {
  const each = Math.ceil(times.length / width)
  return Array.from({ length: Math.ceil(times.length / each) }, (_, i) => {
    const group = times.slice(i * each, (i + 1) * each).flatMap((micros) => micros ?? [])
    return group.length === 0 ? null : Math.max(...group)
  })
}

function wrongLine(result: LoadResult, { columns, style }: ChartOptions, nameOf: NameOf): string[] {
  if (result.verdict === "identical") return []
  const room = Math.max(20, columns - nameOf(result).length - 4)
  return [style.bad(`  ${nameOf(result)}  ${oneLine(unprovenWord(result), room)}`)]
}

/** What is left of a line for a bar; 0 where that is too little. */
function barWidth(columns: number, name: number, figures: number): number {
  const left = columns - name - figures - 6
  return left < barMin ? 0 : Math.min(barMax, left)
}

/** A remark in lines no wider than the terminal. */
function folded(text: string, columns: number, style: Style): string[] {
  const lines: string[] = []
  for (const word of text.split(" ")) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + word.length + 3 <= columns)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines.map((line) => style.faint(`  ${line}`))
}
