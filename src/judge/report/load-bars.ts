import { type Axis, linearAxis, tightLogAxis } from "../../page/axis.ts"
import { html, type Markup } from "../../page/html.ts"
import type { LoadResult } from "../load-document.ts"
import { ceilingOf, digits, fixed, gigabits, gigabytes, ratioNumber, unprovenWord } from "./figures.ts"
import { engineName } from "./frame.ts"
import { markAt, type Series } from "./load-series.ts"

const height = 26
const percent = (value: number): string => `${value.toFixed(2)}%`

/** How fast each engine was beside `base`, with its interval: a logarithmic line, 1 marked. */
export function ratioBars(series: readonly Series[], base: string | undefined): Markup | undefined {
  const ratios = series.flatMap(({ result: { engine, ratio } }) =>
    ratio === undefined || engine === base ? [] : [ratio],
  )
  if (base === undefined || ratios.length === 0) return undefined
  const values = [1, ...ratios.flatMap(({ median, low, high }) => [median, low, high])]
  const axis = tightLogAxis(
    values.filter((value) => value > 0),
    2,
    98,
  )
  const one = percent(axis.at(1))
  const ground = html`${gridOf(axis)}<line class="bound" x1="${one}" x2="${one}" y1="-5" y2="${height + 5}"/>`
  const rows = series.map((each) => {
    const { engine, ratio } = each.result
    if (engine === base) {
      const picture = html`<svg class="draw" height="${height}" aria-hidden="true">${ground}${markAt(each, axis.at(1), height / 2, engine)}</svg>`
      return row(each.result, picture, "1", "the measure")
    }
    if (ratio === undefined) return unproven(each.result)
    const title = `${engine}: ${ratioNumber(ratio.median)}, 95 % interval ${ratioNumber(ratio.low)} to ${ratioNumber(ratio.high)}`
    const picture = html`<svg class="draw" height="${height}" role="img"><title>${title}</title>${ground}${whisker(axis, ratio)}${markAt(each, axis.at(ratio.median), height / 2, title)}</svg>`
    return row(each.result, picture, ratioNumber(ratio.median), `${fixed(ratio.low)} to ${fixed(ratio.high)}`)
  })
  return html`<div class="bars">
${rows}${scale(axis, (tick) => `${digits(tick)}×`)}</div>
`
}

/** Bytes in a second of each engine from 0, with its interval, and the ceiling as a line through all. */
export function rateBars(series: readonly Series[]): Markup | undefined {
  const rates = series.flatMap(({ result }) =>
    result.bytesPerSecond === undefined ? [] : [result.bytesPerSecond],
  )
  if (rates.length === 0) return undefined
  const axis = linearAxis(Math.max(...rates.map(({ high }) => high)) / 1e9, 0, 100)
  const ceiling = ceilingOf(series.map(({ result }) => result))
  const line =
    ceiling !== undefined &&
    html`<line class="bound" x1="${percent(axis.at(ceiling.bytesPerSecond!.median / 1e9))}" x2="${percent(axis.at(ceiling.bytesPerSecond!.median / 1e9))}" y1="-5" y2="${height + 5}"/>`
  const rows = series.map(({ result, colour }) => {
    const rate = result.bytesPerSecond
    if (rate === undefined) return unproven(result)
    const title = `${result.engine}: ${gigabytes(rate.median)}, ${gigabytes(rate.low)} to ${gigabytes(rate.high)}`
    const own = { low: rate.low / 1e9, high: rate.high / 1e9 }
    const picture = html`<svg class="draw" height="${height}" role="img"><title>${title}</title>${gridOf(axis)}<rect class="${colour} fill" x="0" y="5" width="${percent(axis.at(rate.median / 1e9))}" height="${height - 10}" rx="2"/>${whisker(axis, own)}${line}</svg>`
    return row(result, picture, gigabytes(rate.median), gigabits(rate.median))
  })
  return html`<div class="bars">
${rows}${scale(axis, digits)}</div>
${ceiling !== undefined && html`<p class="small soft">In GB/s (10⁹ bytes); the second figure is the same rate in Gb/s (10⁹ bits). Thin lines: the interval. Dashed line: the ceiling, ${ceiling.engine}: ${ceiling.about}.</p>\n`}`
}

function row(result: LoadResult, picture: Markup, value: string, small: string): Markup {
  return html`<div class="who">${engineName(result.engine)}</div>${picture}<div class="value">${value} <small>${small}</small></div>
`
}

function unproven(result: LoadResult): Markup | undefined {
  if (result.verdict === "identical") return undefined
  return html`<div class="who whole">${engineName(result.engine)}</div><div class="wide">${unprovenWord(result)}</div>
`
}

const gridOf = (axis: Axis): Markup[] =>
  axis.ticks.map(
    (tick) =>
      html`<line class="grid" x1="${percent(axis.at(tick))}" x2="${percent(axis.at(tick))}" y1="-5" y2="${height + 5}"/>`,
  )

/** From one end of an interval to the other, with a foot at each. */
function whisker(axis: Axis, { low, high }: { readonly low: number; readonly high: number }): Markup {
  const y = height / 2
  const [from, to] = [percent(axis.at(Math.max(low, axis.ticks[0]!))), percent(axis.at(high))]
  return html`<line class="whisker" x1="${from}" x2="${to}" y1="${y}" y2="${y}"/>${[from, to].map((x) => html`<line class="whisker" x1="${x}" x2="${x}" y1="${y - 4}" y2="${y + 4}"/>`)}`
}

/** The numbers of the axis below the bars. */
function scale(axis: Axis, text: (tick: number) => string): Markup {
  const labels = axis.ticks.map((tick, i) => {
    const anchor = i === 0 ? "" : i === axis.ticks.length - 1 ? "end" : "mid"
    return html`<text class="${anchor}" x="${percent(axis.at(tick))}" y="11">${text(tick)}</text>`
  })
  return html`<div class="who whole" aria-hidden="true"></div><svg class="draw" height="14" aria-hidden="true">${labels}</svg><div class="value"></div>
`
}
