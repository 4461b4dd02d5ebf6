import { rateText, timeText } from "../../terminal/units.ts"
import type { Spread } from "../statistics.ts"

/** As `timeText`, and with decimals where whole microseconds say too little. */
export function microsText(micros: number): string {
  if (micros >= 10) return timeText(micros)
  return micros < 1 ? `${micros.toFixed(2)} µs` : `${micros.toFixed(1)} µs`
}

export const count = (value: number): string => Math.round(value).toLocaleString("en")
export const indented = (lines: readonly string[]): string[] =>
  lines.map((line) => (line === "" ? line : `  ${line}`))
export const rateRange = ({ min, max }: Spread): string =>
  max < 1e8
    ? `${rateText(min)} to ${rateText(max)}`
    : `${(min / 1e9).toFixed(2)} to ${(max / 1e9).toFixed(2)}`
export const timeRange = ({ min, max }: Spread): string => `${microsText(min)} to ${microsText(max)}`

/** A ratio with its spread; three digits where it is small. */
export function ratioText({ median, min, max }: Spread): string {
  return `${ratioNumber(median)} (${ratioNumber(min)} to ${ratioNumber(max)})`
}

export function ratioNumber(value: number): string {
  if (value !== 0 && Math.abs(value) < 0.1) return value.toFixed(3)
  return Math.abs(value) < 10 ? value.toFixed(2) : value.toFixed(1)
}
