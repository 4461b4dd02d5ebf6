import type { TransferReceipt } from "../receipt/receipt.ts"

/** Keeps the receipts that ended last, whatever the order they come in. */
export class LastReceipts {
  readonly #count: number
  #kept: TransferReceipt[] = []

  constructor(count: number) {
    this.#count = count
  }

  add(receipt: TransferReceipt): void {
    this.#kept.push(receipt)
    if (this.#kept.length >= 2 * this.#count + 1024) this.#kept = this.inOrder()
  }

  /** The oldest of them first. */
  inOrder(): TransferReceipt[] {
    const sorted = this.#kept
      .map((receipt) => ({ receipt, at: Date.parse(receipt.endedAt) }))
      .sort((a, b) => a.at - b.at)
      .map(({ receipt }) => receipt)
    return sorted.slice(Math.max(0, sorted.length - this.#count))
  }
}
