import type { RequestRecord } from "./request-record.ts"

/** The last records, newest first, in bounded memory: evidence can be large and is kept for the newest few only. */
export class RecentRecords {
  readonly #capacity: number
  readonly #evidenceCapacity: number
  /** Oldest first. */
  readonly #records: RequestRecord[] = []

  constructor(capacity: number, evidenceCapacity: number) {
    this.#capacity = capacity
    this.#evidenceCapacity = evidenceCapacity
  }

  /** Remembers a record and forgets what no longer fits. */
  add(record: RequestRecord): void {
    this.#records.push(record)
    if (this.#records.length > this.#capacity) this.#records.shift()
    if (record.evidence !== undefined) this.#dropOldEvidence()
  }

  /** Up to `limit` records, newest first, of one request when `requestId` is given. */
  latest(limit: number, requestId?: string): RequestRecord[] {
    const found: RequestRecord[] = []
    for (let at = this.#records.length - 1; at >= 0 && found.length < limit; at--) {
      const record = this.#records[at]!
      if (requestId === undefined || record.requestId === requestId) found.push(record)
    }
    return found
  }

  #dropOldEvidence(): void {
    let kept = 0
    for (let at = this.#records.length - 1; at >= 0; at--) {
      const record = this.#records[at]!
      if (record.evidence === undefined) continue
      kept += 1
      if (kept > this.#evidenceCapacity) this.#records[at] = withoutEvidence(record)
    }
  }
}

/** The record as somebody without the secret may see it. */
export function withoutEvidence({ evidence: _, ...record }: RequestRecord): RequestRecord {
  return record
}
