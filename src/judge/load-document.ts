import type { MachineFacts } from "../bench/machine.ts"
import type { BytesReceipt } from "./driver/protocol.ts"

/** Quantiles of the times of one transfer, in microseconds. */
export interface Latency {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** What one engine did under a load. */
export interface LoadResult {
  readonly engine: string
  readonly about: string
  readonly version: string
  /** `ceiling` is nobody's engine: nothing on this machine should be faster. */
  readonly role: "ceiling" | "kvferry" | "peer"
  /** No rate is told for bytes that were wrong. */
  readonly verdict: "identical" | "different" | "failed"
  /** What was wrong, or why it left. */
  readonly why?: string
  /** Median time of one transfer in each round; null in a round without it. Rounds are the pairs of every ratio. */
  readonly microsByRound: readonly (number | null)[]
  readonly latency?: Latency
  readonly bytesPerSecond?: { readonly median: number; readonly low: number; readonly high: number }
  /** Against the first engine that was asked for, paired by round, with a 95 % interval. */
  readonly ratio?: { readonly median: number; readonly low: number; readonly high: number }
  /** Processor seconds of both sides for each 10^9 bytes. */
  readonly cpuSecondsPerGb?: number
  readonly residentBytes?: { readonly source: number; readonly target: number }
  readonly micros?: {
    readonly open: number
    readonly register: number
    readonly connect: number
    readonly prepare: number
  }
  readonly receipt?: BytesReceipt
  /** Hash over the bytes that moved in the run that was timed. */
  readonly hash?: string
  readonly loggingOn: boolean
}

/** What was asked for, after scaling. Sizes in bytes. */
export interface LoadShape {
  readonly op: "read" | "write"
  /** Of a block of one layer on a prefill rank. */
  readonly blockBytes: number
  /** Blocks that move in each layer, for each pair of engines. */
  readonly blocks: number
  /** Blocks in the pool, in each layer. */
  readonly numBlocks: number
  readonly layers: number
  readonly randomBlocks: boolean
  readonly seed: number
  readonly threads: number
  /** Blocks of one transfer, in all layers. */
  readonly batch: number
  readonly prefillEngines: number
  readonly decodeEngines: number
  readonly prefillTp: number
  readonly decodeTp: number
  readonly strategy: "pack" | "spread"
  readonly integrity: string
  readonly model?: string
  /** Bytes of one round, all pairs together. */
  readonly bytes: number
}

/** One cell of the matrix of all pairs. */
export interface PairResult {
  readonly from: string
  readonly to: string
  readonly engine: string
  readonly bytesPerSecond?: number
  readonly verdict: "identical" | "different" | "failed"
  readonly why?: string
}

/** The record of one `kvferry bench` of a load. */
export interface LoadDocument {
  readonly schema: "kvferry/load/1"
  readonly software: string
  readonly startedAt: string
  readonly tookMillis: number
  readonly machine: MachineFacts
  readonly evidence: "hardware" | "lab"
  readonly shape: LoadShape
  /** What was made smaller or left out, and why. */
  readonly notes: readonly string[]
  readonly rounds: number
  readonly interrupted: boolean
  readonly loadAverage1MinuteBefore: number
  readonly results: readonly LoadResult[]
  readonly matrix?: readonly PairResult[]
  readonly comparison?: readonly {
    readonly engine: string
    readonly before: number
    readonly now: number
    readonly verdict: "same" | "faster" | "slower" | "too noisy"
    readonly why: string
  }[]
  readonly verdict: "identical" | "different" | "failed"
}

/** What came of an engine, in a word. One that was never opened has said nothing of itself, and has not failed at anything. */
export const outcomeOf = ({ verdict, about }: Pick<LoadResult, "verdict" | "about">): string =>
  verdict === "failed" && about === "" ? "did not run" : verdict
