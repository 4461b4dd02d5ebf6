/** How a thread of a crew is started. */
export interface CrewThreadStart {
  /** The ring's buffer. */
  readonly ring: SharedArrayBuffer
  /** From 1: entry 0 of every account is the thread that posts. */
  readonly thread: number
  /** How long a thread looks for the next job before it parks. */
  readonly spinMicros: number
  /** Threads that may do so at one time. */
  readonly spinnersMax: number
}

/** What a thread of a crew tells the main thread: that it is there, and that jobs are over. */
export type CrewThreadMessage = "ready" | "over"
