import type { TransferReceipt } from "./receipt.ts"

/** Times that are kept for the percentiles; older ones make room. */
const timesMax = 100_000

/** Counts over many receipts, in memory that does not grow with their number. */
export class ReceiptSummary {
  tickets = 0
  bytes = 0
  /** How often each state and each verdict was seen. */
  readonly states = new Map<string, number>()
  readonly verdicts = new Map<string, number>()
  /** Total times in microseconds, the last ones. */
  readonly #times: number[] = []

  add(receipt: TransferReceipt): void {
    this.#times[this.tickets % timesMax] = receipt.micros.total
    this.tickets += 1
    this.bytes += receipt.bytes
    count(this.states, receipt.state)
    count(this.verdicts, receipt.integrity.verdict)
  }

  /** The time within which `share` of the tickets ended (nearest rank), in microseconds. 0 without any. */
  timeWithin(share: number): number {
    const sorted = [...this.#times].sort((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? 0
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}
