import type { Posted, TransportFault } from "./fault-plan.ts"

/** Time as the faults see it: that of the deadlines that moves are given. */
export interface FaultClock {
  now(): number
  /** Runs `action` once after `millis`. Returns what cancels it. */
  after(millis: number, action: () => void): () => void
}

/** What one wrapped transport shares over its endpoints and connections. */
export interface FaultSource {
  readonly clock: FaultClock
  /** Counts a post, decides what goes wrong with it, and tells of it. */
  next(posted: Omit<Posted, "number">): TransportFault | undefined
}
