import { quantileOf } from "../../bench/statistics.ts"
import { oneLine } from "../../terminal/one-line.ts"
import type { Style } from "../../terminal/style.ts"
import { tableLines } from "../../terminal/table.ts"
import { countText, sizeText, timeText } from "../../terminal/units.ts"
import { type LoadDocument, type LoadResult, outcomeOf } from "../load-document.ts"
import { pairedSpeedRatios } from "./intervals.ts"
import { matrixLines } from "./load-matrix.ts"

const nameMax = 40
const whyMax = 400
const noteMax = 300

/** What a load came to, as lines for people. @param columns of the terminal: a table that is wider is told as two. */
export function loadLines(
  document: LoadDocument,
  style: Style,
  columns = Number.POSITIVE_INFINITY,
): string[] {
  const { results, interrupted, rounds, comparison, matrix } = document
  const done = Math.max(
    0,
    ...results.map(({ microsByRound }) => microsByRound.filter((m) => m !== null).length),
  )
  return [
    ...headLines(document, style),
    "",
    ...(interrupted ? [style.bad(`PARTIAL: interrupted, ${done} of ${rounds} rounds are here`), ""] : []),
    ...rateLines(results, style, columns),
    "",
    ...costLines(results, columns),
    "",
    ...verdictLines(results, document.shape.bytes, style),
    ...(matrix === undefined ? [] : ["", ...matrixLines(matrix, style)]),
    ...(comparison === undefined ? [] : ["", ...comparisonLines(comparison, style)]),
  ]
}

function headLines(
  { shape, machine, notes, loadAverage1MinuteBefore }: LoadDocument,
  style: Style,
): string[] {
  const { blocks, layers, blockBytes, bytes, op, seed, numBlocks, randomBlocks, integrity } = shape
  const model = shape.model === undefined ? "" : ` (${shape.model})`
  const sides =
    `${shape.prefillEngines} prefill × TP ${shape.prefillTp}, ${shape.decodeEngines} decode × TP ${shape.decodeTp}, ` +
    (shape.strategy === "pack" ? "one machine" : "two machines")
  return [
    style.strong(
      `${countText(blocks, "block")} × ${countText(layers, "layer")} × ${sizeText(blockBytes)}${manyText(shape)}${model}: ${sizeText(bytes)} a round, ${op}`,
    ),
    `  pool     ${numBlocks} blocks a layer, ${randomBlocks ? "random" : "neighbouring"} ones, seed ${seed}; batches of ${shape.batch}, ${countText(shape.threads, "thread")}`,
    `  sides    ${sides}; integrity of kvferry: ${integrity}`,
    `  machine  ${oneLine(machine.cpuModel, 80)}, ${machine.cores} cores, ${machine.virtual}; load ${loadAverage1MinuteBefore.toFixed(2)} before`,
    ...notes.map((note) => style.faint(`  ${oneLine(note, noteMax)}`)),
  ]
}

/** How many times a pair of engines and a rank of prefill make a round of those blocks. */
function manyText({ prefillEngines, decodeEngines, prefillTp }: LoadDocument["shape"]): string {
  const pairs = Math.max(prefillEngines, decodeEngines)
  return `${prefillTp === 1 ? "" : ` × ${prefillTp} ranks`}${pairs === 1 ? "" : ` × ${pairs} pairs`}`
}

function rateLines(results: readonly LoadResult[], style: Style, columnsMax: number): string[] {
  const first = results.find(({ role, verdict }) => role !== "ceiling" && verdict === "identical")
  const ceiling = results.find(({ role }) => role === "ceiling")
  const columns = [
    { title: "engine" },
    { title: "GB/s", number: true },
    { title: "95 %", number: true },
    { title: "Gb/s", number: true },
    { title: `× ${oneLine(first?.engine ?? "first", nameMax)}`, number: true },
    { title: "95 %", number: true },
    { title: "of memcpy", number: true },
    ...["p50", "p90", "p99", "p99.9"].map((title) => ({ title, number: true })),
    { title: "CPU s/GB", number: true },
  ]
  const rows = results.map((result) => {
    const { engine, bytesPerSecond: rate, ratio, latency, cpuSecondsPerGb, verdict } = result
    const name = oneLine(engine, nameMax)
    if (rate === undefined || latency === undefined)
      return [name, verdict === "different" ? "WRONG" : verdict === "failed" ? outcomeOf(result) : "-"]
    return [
      name,
      gigabytes(rate.median),
      `${gigabytes(rate.low)}–${gigabytes(rate.high)}`,
      gigabytes(rate.median * 8),
      ratio === undefined ? "-" : ratio.median.toFixed(2),
      ratio === undefined ? "-" : `${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)}`,
      shareOf(result, ceiling),
      ...[latency.p50, latency.p90, latency.p99, latency.p999].map(timeText),
      cpuSecondsPerGb === undefined ? "-" : cpuSecondsPerGb.toFixed(3),
    ]
  })
  return inParts(columns, rows, columnsMax, timesAt).flatMap((part, i) => [
    ...(i === 0 ? [] : [""]),
    ...headed(part, style),
  ])
}

/** A table, or where a line has no room for it several of them: the second from column `at`, and more where that is not enough. */
function inParts(
  columns: Parameters<typeof tableLines>[0],
  rows: Parameters<typeof tableLines>[1],
  columnsMax: number,
  at: number,
): string[][] {
  const part = (from: number, to: number): string[] => {
    const of = <Cell>(cells: readonly Cell[]): Cell[] => [...cells.slice(0, 1), ...cells.slice(from, to)]
    return tableLines(of(columns), rows.map(of))
  }
  const fits = (from: number, to: number): boolean =>
    part(from, to).every(({ length }) => length <= columnsMax)
  /** As few as there is room for; a column that is too wide stands alone. */
  const parts = (from: number, end: number): string[][] => {
    if (from === end) return []
    let to = end
    while (to > from + 1 && !fits(from, to)) to--
    return [part(from, to), ...parts(to, end)]
  }
  const end = columns.length
  return fits(1, end) ? [part(1, end)] : [...parts(1, at), ...parts(at, end)]
}

/** The column of the first quantile. */
const timesAt = 7

const headed = ([title, ...lines]: readonly string[], style: Style): string[] => [
  style.strong(title!),
  ...lines,
]

/** How near to the ceiling: the median of the rounds' shares. */
function shareOf({ microsByRound }: LoadResult, ceiling: LoadResult | undefined): string {
  if (ceiling === undefined) return "-"
  const shares = pairedSpeedRatios(microsByRound, ceiling.microsByRound)
  return shares.length === 0 ? "-" : `${(quantileOf(shares, 0.5) * 100).toFixed(0)} %`
}

function costLines(results: readonly LoadResult[], columnsMax: number): string[] {
  const shown = results.filter(({ micros, residentBytes }) => micros ?? residentBytes)
  if (shown.length === 0) return []
  const columns = [
    { title: "engine" },
    ...["open", "register", "connect", "prepare"].map((title) => ({ title, number: true })),
    { title: "memory of prefill, decode", number: true },
    { title: "path" },
  ]
  const rows = shown.map(({ engine, micros, residentBytes, receipt, version }) => [
    `${oneLine(engine, nameMax)} ${oneLine(version, nameMax)}`,
    ...[micros?.open, micros?.register, micros?.connect, micros?.prepare].map((each) =>
      each === undefined ? "-" : timeText(each),
    ),
    residentBytes === undefined
      ? "-"
      : `${sizeText(residentBytes.source)}, ${sizeText(residentBytes.target)}`,
    receipt === undefined ? "-" : oneLine(receipt.path, nameMax),
  ])
  return inParts(columns, rows, columnsMax, memoryAt).flatMap((part, i) => (i === 0 ? part : ["", ...part]))
}

/** The column of the memory. */
const memoryAt = 5

function verdictLines(results: readonly LoadResult[], bytes: number, style: Style): string[] {
  const hashes = Map20.groupBy(results, ({ hash }) => hash)
  return [
    ...[...hashes].flatMap(([hash, same]) =>
      hash === undefined
        ? []
        : [
            style.good(
              `hash ${hash}: every byte right, ${same.map(({ engine }) => oneLine(engine, nameMax)).join(", ")}`,
            ),
          ],
    ),
    ...results
      .filter(({ verdict }) => verdict === "different")
      .map(({ engine, why }) =>
        style.bad(`${oneLine(engine, nameMax)}: WRONG BYTES, no rate is told: ${oneLine(why ?? "", whyMax)}`),
      ),
    ...results
      .filter(({ verdict }) => verdict === "failed")
      .map((result) =>
        style.bad(
          `${oneLine(result.engine, nameMax)}: ${outcomeOf(result)}: ${oneLine(result.why ?? "", whyMax)}${partOf(result, bytes)}`,
        ),
      ),
    ...(results.some(({ loggingOn }) => loggingOn)
      ? [style.bad("logging was on: do not compare these rates with others")]
      : []),
  ]
}

/** What one that failed had moved in whole rounds before: no result, and all that there is. */
function partOf({ microsByRound }: LoadResult, bytes: number): string {
  const times = microsByRound.filter((micros) => micros !== null)
  if (times.length === 0) return ""
  const rate = (bytes / quantileOf(times, 0.5)) * 1e6
  const count = `${times.length} whole round${times.length === 1 ? "" : "s"}`
  return `; PARTIAL: ${gigabytes(rate)} GB/s in ${count}, in which every byte that was looked at was right`
}

function comparisonLines(comparison: NonNullable<LoadDocument["comparison"]>, style: Style): string[] {
  return [
    style.strong("Compared with the older document"),
    ...comparison.map(({ engine, verdict, why }) => {
      const line = `  ${oneLine(engine, nameMax)}: ${verdict}: ${oneLine(why, whyMax)}`
      return verdict === "slower" ? style.bad(line) : verdict === "faster" ? style.good(line) : line
    }),
  ]
}

const gigabytes = (perSecond: number): string => {
  const value = perSecond / 1e9
  return value >= 100 ? value.toFixed(0) : value >= 0.995 ? value.toFixed(2) : value.toPrecision(2)
}

/** What `Map.groupBy` is, before Node 21. */
const Map20 = {
  groupBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
    const groups = new Map<Key, Item[]>()
    for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
    return groups
  },
}
