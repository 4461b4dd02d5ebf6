/** How often something runs, and how long its caller sleeps before each time. */
export interface Repeats {
  readonly repeats: number
  readonly pauseMicros: number
}

/** The times of all repeats, in microseconds. */
export interface Timed {
  readonly micros: readonly number[]
  /** What was worked out once, before the first of them. */
  readonly prepareMicros?: number
}
