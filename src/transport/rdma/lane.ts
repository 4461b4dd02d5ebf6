/** A way over which requests go: one local rail with one rail of the peer. */
export interface Lane {
  readonly localRail: number
  /** The peer's number for its rail: it chooses the remote key. */
  readonly remoteRail: number
  /** Its part of what the local rail carries, beside that rail's other lanes. */
  readonly weight: number
}
