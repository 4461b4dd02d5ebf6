import { logAxis } from "../../page/axis.ts"
import type { Curve } from "../curves.ts"
import { microsText } from "./text.ts"

const panel = { width: 300, height: 220, left: 70, bottom: 36, top: 30, right: 20 }
const colours = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e"]

/** One panel for each unit: how many at once, and what one of them takes. Both axes are logarithmic. */
export function curvesSvg(curves: readonly Curve[]): string {
  const units = [...new Set(curves.map(({ unit }) => unit))]
  const lanes = [...new Set(curves.map(({ lane }) => lane))]
  const width = units.length * panel.width
  const height = panel.height + 24
  const panels = units.map((unit, i) => {
    const own = curves.filter((curve) => curve.unit === unit)
    return `<g transform="translate(${i * panel.width} 0)">${panelOf(unit, own, lanes)}</g>`
  })
  const legend = lanes.map(
    (lane, i) =>
      `<text x="${70 + i * 90}" y="${height - 8}" fill="${colours[i % colours.length]}">${lane}</text>`,
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="11"><title>Time of one among many</title>`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    ...panels,
    ...legend,
    "</svg>",
    "",
  ].join("\n")
}

function panelOf(unit: string, curves: readonly Curve[], lanes: readonly string[]): string {
  const points = curves.flatMap((curve) => curve.points)
  const x = logAxis(
    points.map(({ count }) => count),
    panel.left,
    panel.width - panel.right,
  )
  const y = logAxis(
    points.map(({ microsPerUnitMedian }) => microsPerUnitMedian),
    panel.height - panel.bottom,
    panel.top,
  )
  const lines = curves.map((curve) => {
    const colour = colours[lanes.indexOf(curve.lane) % colours.length]
    const places = curve.points.map(
      ({ count, microsPerUnitMedian }) => `${x.at(count).toFixed(1)},${y.at(microsPerUnitMedian).toFixed(1)}`,
    )
    return `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${places.join(" ")}"/>`
  })
  const across = x.ticks.map(
    (tick) =>
      `<text x="${x.at(tick)}" y="${panel.height - panel.bottom + 16}" text-anchor="middle">${tick.toLocaleString("en")}</text>`,
  )
  const upwards = y.ticks.map(
    (tick) =>
      `<text x="${panel.left - 6}" y="${y.at(tick) + 4}" text-anchor="end">${microsText(tick)}</text>` +
      `<line x1="${panel.left}" x2="${panel.width - panel.right}" y1="${y.at(tick)}" y2="${y.at(tick)}" stroke="#ddd"/>`,
  )
  return `<text x="${panel.left}" y="16" font-weight="bold">${unit}: time of each</text>${[...upwards, ...across, ...lines].join("")}`
}
