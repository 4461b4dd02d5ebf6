/** A scatter/gather list of one stream: addresses that were checked against live spans, and lengths. */
export interface Places {
  readonly addresses: Float64Array<ArrayBuffer>
  readonly lengths: Uint32Array<ArrayBuffer>
}

/** How a ceiling thread is started. A sender listens, a receiver connects to `port`. */
export interface CeilingStart {
  readonly role: "sender" | "receiver"
  readonly port: number
  /** `jobs[j]` is the list of job j; undefined when this stream has no part in it. */
  readonly jobs: readonly (Places | undefined)[]
}

/** What a receiver is told to do: job `job`, `repeats` times one after the other. */
export interface CeilingOrder {
  readonly job: number
  readonly repeats: number
}

/** What a ceiling thread tells its process. */
export type CeilingEvent =
  | { readonly type: "ready"; readonly port: number }
  | { readonly type: "moved"; readonly startMicros: readonly number[]; readonly endMicros: readonly number[] }
