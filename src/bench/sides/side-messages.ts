import type { KvErrorRecord } from "../../errors/kv-error.ts"
import type { IntegrityLevel } from "../../receipt/receipt.ts"
import type { Job, PoolShape } from "../job.ts"
import type { WrongWord } from "../pattern.ts"
import type { AgentOffer } from "./agent-ways.ts"
import type { CeilingOffer } from "./ceiling-ways.ts"
import type { Lane } from "./lanes.ts"
import type { PageKind } from "./pool.ts"
import type { Repeats, Timed } from "./timed.ts"
import type { Offer } from "./ways.ts"

/** What moves the bytes of a job. */
export type Mover =
  /** kvferry, over one of its fabrics alone. */
  | { readonly kind: "lane"; readonly lane: Lane }
  /** kvferry as an application uses it: a prepared read under a lease, posted as a ticket. */
  | { readonly kind: "ticket"; readonly lane: Lane; readonly level: IntegrityLevel }
  /** The same, using the source's blocks in place: attached and released. */
  | { readonly kind: "attach"; readonly lane: Lane; readonly level: IntegrityLevel }
  /** What a reader of attached blocks does to find them: the address of each. */
  | { readonly kind: "addresses"; readonly lane: Lane }
  /** C: `memcpy` out of mapped memory files. */
  | { readonly kind: "memcpy"; readonly threads: number }
  /** C: `process_vm_readv`. */
  | { readonly kind: "vm-read"; readonly threads: number }
  /** C: blocking `sendmsg` and `recvmsg`, or both sides asking again and again. */
  | { readonly kind: "stream"; readonly streams: number; readonly spin: boolean }
  /** C: a question and an answer through a shared page; no payload. */
  | { readonly kind: "wake"; readonly spin: boolean }
  /** Our own process, our own pool, one thread: libc's function through the FFI, or `TypedArray.set`. */
  | { readonly kind: "own-copy"; readonly by: "memmove" | "set" }
  /** Without a compiler: blocking `sendmsg` and `recvmsg` through the FFI. */
  | { readonly kind: "plain-stream"; readonly streams: number }

/** What the bench asks of a side, and what each question is answered with. */
export interface SideQuestions {
  /** Makes the pool and its pattern. */
  open: {
    readonly pool: PoolShape
    readonly pages: PageKind
    readonly jobs: readonly Job[]
    /** The C ceilings, where there was a compiler. */
    readonly library: string | undefined
  }
  offer: { readonly lane: Lane; readonly peers: number }
  reach: Offer
  /** Opens agents for a lane and a job; the source lends `sequences`, each by its blocks. */
  offerAgent: { readonly lane: Lane; readonly job: number; readonly sequences: readonly Uint32Array[] }
  reachAgent: AgentOffer
  offerCeilings: { readonly streams: readonly number[] }
  reachCeilings: { readonly offer: CeilingOffer | undefined; readonly plainPorts: readonly PlainPorts[] }
  wipe: { readonly job: number; readonly refill: boolean }
  move: {
    readonly job: number
    readonly mover: Mover
    readonly times: Repeats
    /** Breaks one bit of what arrived, so that a check can be checked. */
    readonly damage: boolean
  }
  /** Posts the first `pieces` of a job in parts at the same time, over one lane to some peers. */
  crowd: {
    readonly job: number
    readonly lane: Lane
    readonly pieces: number
    readonly parts: number
    readonly peers: number
    readonly times: Repeats
  }
  /** Posts the first `count` sequences of a job as tickets at the same time. */
  tickets: {
    readonly job: number
    readonly lane: Lane
    readonly level: IntegrityLevel
    readonly count: number
    readonly times: Repeats
  }
  /** Attaches and releases one of the sequences that were lent for a job. */
  attachments: {
    readonly job: number
    readonly lane: Lane
    readonly level: IntegrityLevel
    readonly sequence: number
    readonly times: Repeats
  }
  check: {
    readonly job: number
    readonly at: "source" | "target" | "attached"
    readonly expected: string | undefined
    /** Only the first ones; all of them when absent. */
    readonly pieces?: number
  }
  /** Plans a job, and prepares it for a lane; and does all that an agent does for a read at level `epoch`. */
  plan: { readonly job: number; readonly lane: Lane; readonly repeats: number }
  /** Hashes the blocks of a job where they landed, on one thread. */
  hash: { readonly job: number; readonly repeats: number }
  places: Record<never, never>
  cpu: Record<never, never>
  end: Record<never, never>
}

/** Ports of plain streams without C. */
export interface PlainPorts {
  readonly streams: number
  readonly ports: readonly number[]
}

/** The answers, by question. */
export interface SideAnswers {
  open: true
  offer: Offer
  reach: true
  offerAgent: AgentOffer
  reachAgent: true
  tickets: Timed
  attachments: Timed
  offerCeilings: { readonly offer: CeilingOffer | undefined; readonly plainPorts: readonly PlainPorts[] }
  reachCeilings: true
  wipe: true
  move: Timed
  crowd: Timed
  check: { readonly hash: string; readonly wrong: WrongWord | undefined }
  plan: {
    readonly planMicros: readonly number[]
    readonly prepareMicros: readonly number[]
    readonly readMicros: readonly number[]
  }
  hash: Timed
  places: { readonly pid: number; readonly files: readonly number[] }
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
