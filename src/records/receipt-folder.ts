import { join } from "node:path"
import { readReceiptLine } from "../receipt/read-receipt.ts"
import type { TransferReceipt } from "../receipt/receipt.ts"
import { logFilesIn } from "./log-files.ts"
import { LogTail } from "./log-tail.ts"

/** A folder of receipts as a reader sees it: every file of every process, also those that come later. */
export class ReceiptFolder {
  readonly #folder: string
  readonly #tails = new Map<string, LogTail>()
  #skipped = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Lines that were no receipts of this version. */
  get skipped(): number {
    return this.#skipped
  }

  /** Files that end in the middle of a line: their writer is about to go on, or was cut off. */
  get torn(): number {
    return [...this.#tails.values()].filter((tail) => tail.torn).length
  }

  /**
   * Calls `take` with every receipt that was written since the last look, file by file.
   * @throws what the system answers when the folder cannot be read. A file that vanishes meanwhile is no error.
   */
  async look(take: (receipt: TransferReceipt) => void): Promise<void> {
    const names = await logFilesIn(this.#folder)
    for (const name of this.#tails.keys()) if (!names.includes(name)) this.#tails.delete(name)
    for (const name of names.sort()) {
      const tail = this.#tails.get(name) ?? new LogTail(join(this.#folder, name))
      this.#tails.set(name, tail)
      try {
        await tail.look(({ lines, skipped }) => {
          this.#skipped += skipped
          for (const line of lines) {
            const receipt = readReceiptLine(line)
            if (receipt === undefined) this.#skipped += 1
            else take(receipt)
          }
        })
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown
        this.#tails.delete(name)
      }
    }
  }
}
