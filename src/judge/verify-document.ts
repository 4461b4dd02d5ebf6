import type { MachineFacts } from "../bench/machine.ts"

/** How a case ended for an engine. `not supported` says why, and is never a pass. */
export type CaseVerdict = "passed" | "failed" | "not supported"

/** Where a wrong byte was found, and what it is. */
export interface WrongPlace {
  /** The agent that holds the byte. */
  readonly agent: string
  readonly layer: number
  readonly block: number
  /** Bytes from the start of the layer's region. */
  readonly offset: number
  readonly expected: string
  readonly found: string
}

/** Blocks of one layer's region, one letter a block: what is in each, after a case that failed. */
export interface BlockMap {
  readonly agent: string
  readonly layer: number
  /**
   * One character a block: `.` nothing was expected and nothing came, `o` right, `z` zeros, `p` untouched (still poison),
   * `b` the base of the region, `x` another place of the pattern, `s` an older epoch, `?` anything else, `!` written where
   * nothing was to be written.
   */
  readonly blocks: string
}

/** Why a case failed: the first thing that was wrong, and all that is known of it. */
export interface Finding {
  /** A stable word, for machines: "wrong-bytes", "hang", "no-error", "wrong-error", "crash", "lied", "leak", ... */
  readonly kind: string
  /** A stable word for the cause where it was recognised: "base-address", "stale", "swapped-planes", "lost-tail", ... */
  readonly cause?: string
  /** A sentence or two with the numbers. */
  readonly text: string
  readonly first?: WrongPlace
  readonly wrongBytes?: number
  readonly maps?: readonly BlockMap[]
  /** The last words of the engine's processes, where they tell something. */
  readonly log?: string
}

export interface CaseResult {
  /** "shapes/unaligned": suite and name. Stable. */
  readonly id: string
  readonly suite: string
  readonly title: string
  readonly verdict: CaseVerdict
  /** Why it is not supported. */
  readonly why?: string
  readonly finding?: Finding
  readonly millis: number
  /** Bytes that were compared. */
  readonly bytesChecked: number
}

/** One engine, and all its cases. */
export interface EngineResult {
  readonly engine: string
  /** In its own words: version, backend, libraries. Absent when it did not start. */
  readonly about?: string
  readonly version?: string
  readonly libraries?: readonly string[]
  /** Why it does not run here at all: every case is then not supported. */
  readonly unavailable?: string
  /** Why the cases that are not listed were not run: it was plain before, or the user wanted no more than one failure. */
  readonly stopped?: string
  readonly cases: readonly CaseResult[]
}

/** The record of one `kvferry verify`. */
export interface VerifyDocument {
  readonly schema: "kvferry/verify/1"
  readonly software: string
  readonly startedAt: string
  readonly tookMillis: number
  readonly seed: number
  readonly machine: MachineFacts
  /** Where it was seen: processes of this machine, its processor and loopback device. */
  readonly evidence: "hardware" | "lab"
  readonly interrupted: boolean
  readonly engines: readonly EngineResult[]
  readonly verdict: Verdict
}

/** What came of a whole run. Where nothing failed and not all was judged that was asked for, nobody has failed or passed. */
export type Verdict = "passed" | "failed" | "not judged"

/** A failed case counts, whatever else there was; an engine that is not here, or an interruption, is no failure of anybody. */
export function verdictOf({
  engines,
  interrupted,
}: Pick<VerifyDocument, "engines" | "interrupted">): Verdict {
  if (engines.some(({ cases }) => cases.some(({ verdict }) => verdict === "failed"))) return "failed"
  return interrupted || engines.length === 0 || unjudgedEngines(engines).length > 0 ? "not judged" : "passed"
}

/** Engines of which nothing can be said: they do not run here, or support none of the cases. */
export const unjudgedEngines = (engines: readonly EngineResult[]): EngineResult[] =>
  engines.filter(
    ({ unavailable, cases }) =>
      unavailable !== undefined || cases.every(({ verdict }) => verdict === "not supported"),
  )

/** Why a run was not judged, in a few words. */
export function whyNotJudged({
  engines,
  interrupted,
}: Pick<VerifyDocument, "engines" | "interrupted">): string {
  if (interrupted) return "it was interrupted"
  const unjudged = unjudgedEngines(engines)
  const names = (which: readonly EngineResult[]): string => which.map(({ engine }) => engine).join(", ")
  const absent = unjudged.filter(({ unavailable }) => unavailable !== undefined)
  const unable = unjudged.filter(({ unavailable }) => unavailable === undefined)
  const parts = [
    absent.length > 0 && `${names(absent)} ${absent.length === 1 ? "does" : "do"} not run here`,
    unable.length > 0 && `${names(unable)} ${unable.length === 1 ? "supports" : "support"} none of the cases`,
  ].filter((part) => part !== false)
  return parts.length === 0 ? "no engine runs here" : parts.join(", ")
}

/**
 * Cases of an engine that found wrong bytes. An engine with none and failures all the same has moved the right bytes, and
 * breaks another promise: memory that was taken back, a path that nobody asked for.
 */
export const wrongBytesCases = ({ cases }: EngineResult): number =>
  cases.filter(({ finding }) => finding?.kind === "wrong-bytes").length
