import type { Spread } from "./statistics.ts"

/** One promise about speed, as a number of this run. */
export interface TargetResult {
  readonly what: string
  /** In words: what is divided by what, and the bound. */
  readonly bound: string
  readonly atLeast?: number
  readonly atMost?: number
  readonly unit: "ratio" | "µs" | "cores"
  readonly value?: Spread
  readonly verdict: "reached" | "not reached" | "not measured"
  /** Why it was not measured. */
  readonly why?: string
}
