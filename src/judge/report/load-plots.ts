import { type Axis, tightLogAxis } from "../../page/axis.ts"
import { html, type Markup } from "../../page/html.ts"
import { microsText } from "./figures.ts"
import { markAt, type Series, seriesLegend } from "./load-series.ts"

const height = 270
const [top, bottom] = [14, height - 26]

const quantiles = [
  ["p50", "half"],
  ["p90", "9 of 10"],
  ["p99", "99 of 100"],
  ["p999", "999 of 1,000"],
] as const
const quantileNames = { p50: "p50", p90: "p90", p99: "p99", p999: "p99.9" } as const

/** How long one transfer took, from the usual to the rare: one line for each engine, time upwards on a logarithmic axis. */
export function latencyCurves(all: readonly Series[]): Markup | undefined {
  const series = all.filter(({ result }) => result.latency !== undefined)
  if (series.length === 0) return undefined
  const times = series.flatMap(({ result }) => quantiles.map(([key]) => result.latency![key]))
  const y = tightLogAxis(times, bottom, top)
  const x = (i: number): number => 20 + i * 24
  const lines = series.map((one) => {
    const points = quantiles.map(([key], i) => ({ key, x: x(i), micros: one.result.latency![key] }))
    return html`<g>${points
      .slice(1)
      .map(
        (to, i) =>
          html`<line class="${one.colour} stroke" x1="${points[i]!.x}%" x2="${to.x}%" y1="${y.at(points[i]!.micros).toFixed(1)}" y2="${y.at(to.micros).toFixed(1)}"/>`,
      )}${points.map((point) => markAt(one, point.x, y.at(point.micros), `${one.result.engine}, ${quantileNames[point.key]}: ${microsText(point.micros)}`))}</g>`
  })
  const labels = quantiles.map(
    ([key, words], i) =>
      html`<text class="mid strong" x="${x(i)}%" y="${height - 12}">${quantileNames[key]}</text><text class="mid" x="${x(i)}%" y="${height}">${words}</text>`,
  )
  return html`<figure class="chart">
<svg class="plot" height="${height + 4}" role="img"><title>Time of one transfer at p50, p90, p99 and p99.9; the same figures are in the table</title>${levels(y)}${labels}${lines}</svg>
${seriesLegend(series)}</figure>
`
}

/** Every round as a dot, so that drift, steps and outliers are seen; its median as a dotted line. */
export function roundDots(all: readonly Series[], rounds: number): Markup | undefined {
  const series = all.filter(({ result }) => result.microsByRound.some((micros) => micros !== null))
  const times = series.flatMap(({ result }) => result.microsByRound.flatMap((micros) => micros ?? []))
  if (times.length === 0) return undefined
  const y = tightLogAxis(times, bottom, top)
  const last = Math.max(1, rounds, ...series.map(({ result }) => result.microsByRound.length))
  const x = (round: number): number => 14 + ((round + 0.5) / last) * 85
  const dots = series.map((one) => {
    const own = one.result.microsByRound.flatMap((micros) => micros ?? []).sort((a, b) => a - b)
    const middle = y.at(own[Math.floor(own.length / 2)]!).toFixed(1)
    return html`<g><line class="${one.colour} stroke thin" x1="13%" x2="100%" y1="${middle}" y2="${middle}"/>${one.result.microsByRound.map(
      (micros, round) =>
        micros !== null &&
        markAt(
          one,
          x(round),
          y.at(micros),
          `${one.result.engine}, round ${round + 1}: ${microsText(micros)}`,
        ),
    )}</g>`
  })
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((each) => last / each <= 12) ?? last
  const labels = Array.from({ length: last }, (_, round) => round + 1)
    .filter((round) => round === 1 || round % step === 0)
    .map(
      (round) => html`<text class="mid" x="${x(round - 1).toFixed(2)}%" y="${height - 10}">${round}</text>`,
    )
  return html`<figure class="chart">
<svg class="plot" height="${height}" role="img"><title>Time of one transfer in each of ${last} rounds</title>${levels(y)}${labels}<text x="0" y="${height - 10}">round</text>${dots}</svg>
${seriesLegend(series)}</figure>
`
}

/** Lines across the picture with the time that they stand for, written above them at the left. */
function levels(axis: Axis): Markup[] {
  return axis.ticks.map((tick) => {
    const y = axis.at(tick)
    return html`<line class="grid" x1="0" x2="100%" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/><text x="0" y="${(y - 3).toFixed(1)}">${microsText(tick)}</text>`
  })
}
