import { timeText } from "../../terminal/units.ts"
import { type LoadResult, outcomeOf } from "../load-document.ts"

/** As `timeText`, with decimals where whole microseconds say too little. */
export function microsText(micros: number): string {
  if (micros >= 10) return timeText(micros)
  return micros < 1 ? `${micros.toFixed(2)} µs` : `${micros.toFixed(1)} µs`
}

/** Three digits of a number: 0.0312, 0.312, 3.12, 31.2, 312, 3124. */
export function digits(value: number): string {
  if (value === 0) return "0"
  return Math.abs(value) >= 999.5 ? value.toFixed(0) : Number(value.toPrecision(3)).toString()
}

/** 10^9 bytes in a second, and 10^9 bits: the same rate in both of the units that people compare with. */
export const gigabytes = (bytesPerSecond: number): string => `${fixed(bytesPerSecond / 1e9)} GB/s`
export const gigabits = (bytesPerSecond: number): string => `${fixed((bytesPerSecond * 8) / 1e9)} Gb/s`
export const ratioNumber = (ratio: number): string => `${fixed(ratio)}×`

/** Three digits that count, zeros at the end included: 0.310, 1.08, 16.4, 131. */
export function fixed(value: number): string {
  if (value === 0) return "0"
  return Math.abs(value) >= 99.95 ? value.toFixed(0) : value.toPrecision(3)
}

/** That an engine has no figures, in short; why stands elsewhere. */
export const unprovenWord = (result: LoadResult): string =>
  `${result.verdict === "different" ? "wrong bytes" : outcomeOf(result)}: no rate is told`

/** The fastest ceiling that was proven: what no engine of this machine should pass. */
export function ceilingOf(results: readonly LoadResult[]): LoadResult | undefined {
  return results
    .filter(({ role, bytesPerSecond }) => role === "ceiling" && bytesPerSecond !== undefined)
    .sort((a, b) => b.bytesPerSecond!.median - a.bytesPerSecond!.median)[0]
}

/** What ratios are to: the first engine, in the order in which they were asked for, whose bytes were right. */
export const baseOf = (results: readonly LoadResult[]): LoadResult | undefined =>
  results.find(({ role, verdict }) => role !== "ceiling" && verdict === "identical")
