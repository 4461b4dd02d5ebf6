import type { KvErrorRecord } from "../errors/kv-error.ts"
import type { EndpointAddress, RegionDescriptor, Session } from "../transport/transport.ts"
import type { Job } from "./job.ts"
import type { WrongWord } from "./pattern.ts"

/** What moves the bytes: a plain loop, kvferry's tcp transport, or memory copies inside the target's process. */
export type Mover = "ceiling" | "kvferry" | "memcpy"

/** How the target reaches the source, for one number of streams. */
export interface Offer {
  readonly streams: number
  readonly session: Session
  readonly address: EndpointAddress
  readonly regions: readonly RegionDescriptor[]
  /** Of the plain loop, one for each stream. */
  readonly ceilingPorts: readonly number[]
}

/** What the bench asks of a side, and what each question is answered with. */
export interface SideQuestions {
  /** Makes the pool and its pattern; a target also holds the pattern, for copies inside one process. */
  open: { readonly jobs: readonly Job[]; readonly layers: number; readonly blocksPerLayer: number }
  offer: { readonly streams: number }
  reach: Offer
  wipe: { readonly job: number }
  move: {
    readonly job: number
    readonly mover: Mover
    readonly streams: number
    readonly repeats: number
    /** Breaks one bit of what arrived, so that a check can be checked. */
    readonly damage: boolean
  }
  check: { readonly job: number; readonly side: "source" | "target"; readonly expected: string | undefined }
  fingerprint: { readonly job: number }
  cpu: Record<never, never>
  end: Record<never, never>
}

/** The answers, by question. */
export interface SideAnswers {
  open: true
  offer: Offer
  reach: true
  wipe: true
  move: { readonly micros: readonly number[] }
  check: { readonly hash: string; readonly wrong: WrongWord | undefined }
  fingerprint: { readonly planMicros: number; readonly hashMicros: number; readonly bytes: number }
  /** Processor time of all threads since the process began. */
  cpu: { readonly micros: number }
  end: true
}

export type Question = keyof SideQuestions

/** A question on its way. */
export interface SideRequest<Q extends Question = Question> {
  readonly call: number
  readonly question: Q
  readonly options: SideQuestions[Q]
}

/** Its answer. */
export type SideReply =
  | { readonly call: number; readonly answer: SideAnswers[Question] }
  | { readonly call: number; readonly error: KvErrorRecord }
