import type { MoveRequest } from "../transport.ts"

/**
 * What goes wrong with one post of a move. Bytes and pieces are counted in the order of its plan.
 *
 * - `delay`: nothing is posted for a while.
 * - `reorder`: the pieces go backwards, each in two halves, the later half first.
 * - `drop`: one piece never arrives, and neither does the completion.
 * - `duplicate`: after the completion, and after a while, the same bytes are written once more.
 * - `corrupt`: one bit is flipped in the target before the completion.
 * - `early`: the completion comes at once, and the bytes after a while. `landedBytes` of them, the last ones, are there in time:
 *   so it would be where a NIC's writes may pass each other and its completion passed some of them.
 * - `die`: the connection is lost when so many bytes have moved.
 */
export type TransportFault =
  | { readonly kind: "delay"; readonly millis: number }
  | { readonly kind: "reorder" }
  | { readonly kind: "drop"; readonly piece: number }
  | { readonly kind: "duplicate"; readonly afterMillis: number }
  | { readonly kind: "corrupt"; readonly byte: number; readonly bit: number }
  | { readonly kind: "early"; readonly landsAfterMillis: number; readonly landedBytes?: number }
  | { readonly kind: "die"; readonly atByte: number }

export type TransportFaultKind = TransportFault["kind"]

export const transportFaultKinds: readonly TransportFaultKind[] = [
  "delay",
  "reorder",
  "drop",
  "duplicate",
  "corrupt",
  "early",
  "die",
]

/**
 * True when a fault breaks what a fabric promises about bytes: it says that they are there and right, or that it is
 * done, and it is not so. After such a fault only hashes can tell, and after a late duplicate nothing can.
 */
export const isLie = ({ kind }: TransportFault): boolean =>
  kind === "duplicate" || kind === "corrupt" || kind === "early"

/** One post, as a plan of faults sees it. */
export interface Posted {
  /** Counts the posts of the wrapped transport from 0, over all its connections. */
  readonly number: number
  readonly direction: MoveRequest["direction"]
  readonly pieces: number
  readonly bytes: number
}

/** Decides what goes wrong with a post; undefined for nothing. */
export type FaultPlan = (posted: Posted) => TransportFault | undefined

/** The first post gets the first entry of the script, and so on; behind its end nothing goes wrong. */
export function scripted(script: readonly (TransportFault | undefined)[]): FaultPlan {
  return ({ number }) => script[number]
}

/** What `drawn` goes by. */
export interface FaultRates {
  /** How often a post has a fault, from 0 to 1. */
  readonly rate: number
  /** Faults to choose from, each as likely as another. */
  readonly kinds: readonly TransportFaultKind[]
  /** Most milliseconds of a fault that takes time. */
  readonly millisMost: number
}

/**
 * Draws faults from a source of numbers from 0 up to, and without, 1: the same numbers make the same faults.
 *
 * An empty plan has no byte that could go wrong, so only `delay` can happen to it.
 */
export function drawn(unit: () => number, rates: FaultRates): FaultPlan {
  const below = (end: number): number => Math.floor(unit() * end)
  return ({ pieces, bytes }) => {
    if (rates.kinds.length === 0 || unit() >= rates.rate) return undefined
    const kind = bytes === 0 ? "delay" : rates.kinds[below(rates.kinds.length)]!
    const millis = unit() * rates.millisMost
    switch (kind) {
      case "delay":
        return { kind, millis }
      case "reorder":
        return { kind }
      case "drop":
        return { kind, piece: below(pieces) }
      case "duplicate":
        return { kind, afterMillis: millis }
      case "corrupt":
        return { kind, byte: below(bytes), bit: below(8) }
      case "early":
        return { kind, landsAfterMillis: millis }
      case "die":
        return { kind, atByte: below(bytes) }
    }
  }
}
