import type { Forecast, RailForecast } from "../plan/forecast.ts"
import type { MachineFigures } from "../plan/machine-figures.ts"
import { oneLine } from "../terminal/one-line.ts"
import type { Style } from "../terminal/style.ts"
import { tableLines } from "../terminal/table.ts"
import { rateText, sizeText, timeText } from "../terminal/units.ts"
import type { Measured } from "./measured.ts"

/** The document that `kvferry plan --json` prints. Sizes in bytes, times in microseconds. */
export interface PlanReport extends Forecast {
  readonly schema: "kvferry/plan/1"
  /** Where each figure of the machine is from. */
  readonly figures: MachineFigures
  /** What a run took, and its share of what was expected: 1 is as expected, 2 took twice the time. */
  readonly compared: readonly (Measured & { readonly timesExpected: number })[]
}

/** A forecast as lines for people. */
export function forecastLines(report: PlanReport, style: Style): string[] {
  const { job, machine, rails, limits, expectedMicros, bytesPerSecond, bound, figures, compared } = report
  const line = (figures.bytesPerSecondOfNic.value * 8) / 1e9
  return [
    `${style.strong(machine)}: ${rails.length} rails of ${line.toLocaleString("en", { maximumFractionDigits: 1 })} Gb/s, driven by ${figures.fabric}`,
    `  job      ${oneLine(job.name, 60)}: ${job.pieces.toLocaleString("en")} pieces of ${sizeText(job.bytes)}, ${sizeText(job.allBytes)} in all`,
    `  evidence model: computed from figures of others, nothing was run`,
    "",
    ...tableLines(
      [
        { title: "rails" },
        { title: "bytes", number: true },
        { title: "pieces", number: true },
        { title: "requests", number: true },
        { title: "doorbells", number: true },
        { title: "completions", number: true },
      ],
      groupsOf(rails).map(({ names, rail }) => [
        names,
        sizeText(rail.bytes),
        ...[rail.pieces, rail.requests, rail.doorbells, rail.completions].map(String),
      ]),
    ),
    "",
    ...tableLines(
      [
        { title: "limit" },
        { title: "time", number: true },
        { title: "rate", number: true },
        { title: "why" },
      ],
      limits.map(({ name, micros, why }) => [
        name,
        timeText(micros),
        rateText((job.allBytes / Math.max(micros, 1e-3)) * 1e6),
        why,
      ]),
    ),
    ...(figures.hostBytesPerSecond === undefined ? ["no figure is known for host memory: it may bound"] : []),
    ...(figures.latencyMicros === undefined ? ["no figure is known for the latency: it is taken as 0"] : []),
    "",
    style.good(`expected: ${timeText(expectedMicros)}, ${rateText(bytesPerSecond)}; bound by ${bound}`),
    ...(compared.length === 0 ? [] : ["", ...comparedLines(compared)]),
    "",
    ...sourcesOf(figures).map((text) => style.faint(text)),
  ]
}

/** Rails that do the same are one line. */
function groupsOf(
  rails: readonly RailForecast[],
): readonly { readonly names: string; readonly rail: RailForecast }[] {
  const groups = new Map<string, RailForecast[]>()
  for (const { rail, ...work } of rails) {
    const key = JSON.stringify(work)
    groups.set(key, [...(groups.get(key) ?? []), { rail, ...work }])
  }
  return [...groups.values()].map((group) => {
    const [first, last] = [group[0]!.rail, group.at(-1)!.rail]
    const together = last - first + 1 === group.length
    const names =
      group.length === 1 ? `${first}` : together ? `${first} to ${last}` : `${group.length} of them`
    return { names, rail: group[0]! }
  })
}

const comparedLines = (compared: PlanReport["compared"]): string[] => [
  ...tableLines(
    [
      { title: "measured" },
      { title: "time", number: true },
      { title: "rate", number: true },
      { title: "× expected time", number: true },
    ],
    compared.map(({ name, micros, bytes, timesExpected }) => [
      oneLine(name, 60),
      timeText(micros),
      rateText((bytes / micros) * 1e6),
      timesExpected.toPrecision(3),
    ]),
  ),
  ...compared.flatMap(({ name, rails }) =>
    rails === undefined
      ? []
      : [
          `bytes by rail, ${oneLine(name, 60)}: ${rails.map(({ rail, bytes }) => `${rail}: ${sizeText(bytes)}`).join(", ")}`,
        ],
  ),
]

const sourcesOf = (figures: MachineFigures): string[] =>
  [
    ["NICs", figures.nics],
    ["line rate", figures.bytesPerSecondOfNic],
    ["host memory", figures.hostBytesPerSecond],
    ["latency", figures.latencyMicros],
    ["request", figures.microsOfRequest],
    ["doorbell", figures.microsOfDoorbell],
  ].flatMap(([name, figure]) =>
    typeof figure === "object" ? [`  ${String(name).padEnd(11)} ${figure.source}`] : [],
  )
