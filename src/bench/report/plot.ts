import { microsText } from "./text.ts"

/** A point of a plot; both axes are logarithmic. */
export interface PlotPoint {
  readonly x: number
  readonly y: number
}

const height = 6
const columnWidth = 9

/** A small plot for a terminal: one column for each point, time of one unit upwards. */
export function plotLines(points: readonly PlotPoint[]): string[] {
  const logs = points.map(({ y }) => Math.log10(y))
  const [low, high] = [Math.min(...logs), Math.max(...logs)]
  const span = Math.max(high - low, 0.3)
  const rowOf = (log: number): number => Math.round(((log - low) / span) * (height - 1))
  const rows = Array.from({ length: height }, (_, i) => height - 1 - i)
  const labels = rows.map((row) => microsText(10 ** (low + (row / (height - 1)) * span)))
  const width = Math.max(...labels.map((label) => label.length))
  return [
    ...rows.map((row, i) => {
      const marks = logs.map((log) => (rowOf(log) === row ? "●" : "·").padStart(columnWidth)).join("")
      return `${labels[i]!.padStart(width)} │${marks}`
    }),
    `${" ".repeat(width)} └${"─".repeat(points.length * columnWidth)}`,
    `${" ".repeat(width)}  ${points.map(({ x }) => x.toLocaleString("en").padStart(columnWidth)).join("")}`,
  ]
}
