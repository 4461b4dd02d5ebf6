import { appendFileSync, constants, mkdirSync } from "node:fs"
import { chmod, mkdir, open } from "node:fs/promises"
import { join } from "node:path"
import type { Party, TransferReceipt } from "../receipt/receipt.ts"
import { logFileName, logLimits, removeFile, removeOldest } from "./log-files.ts"

/** Where and how a process keeps its receipts. */
export interface ReceiptLogOptions {
  readonly folder: string
  /** Names the files: one process, told apart from an earlier life by its boot id. */
  readonly party: Party
  /** Hears once that receipts are not written, and why. */
  readonly warn: (text: string) => void
  /** For tests. */
  readonly limits?: typeof logLimits | { readonly [Name in keyof typeof logLimits]: number }
}

/** Receipts that may wait to be written. More than that are lost, counted, and told once. */
const waitingMax = 16_384
/** A receipt waits at most this long before it is on its way to the file. */
const flushMillis = 200
/** So many are written without waiting for the time to pass, and at most so many at once: a line costs some µs. */
const batchMax = 256

/** A file is made anew when somebody removed it, and is never one that a link points to. */
const appendFlags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW

/**
 * The receipts of one process as files of JSON lines, bounded in size and number.
 *
 * `append` costs the caller one push: lines are made and written in the background. Whatever goes wrong with a file
 * is told once and counted; it never reaches a transfer.
 */
export class ReceiptLog implements AsyncDisposable {
  readonly #options: ReceiptLogOptions
  readonly #limits: { readonly [Name in keyof typeof logLimits]: number }
  #waiting: TransferReceipt[] = []
  /** Lines that left `#waiting` and for which no write has been issued yet. */
  #unissued: { readonly text: string; readonly count: number } | undefined
  #flushing: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #fileCount = 0
  #fileBytes = Number.POSITIVE_INFINITY
  #lost = 0
  #told = false
  readonly #onExit = (): void => this.#flushNow()

  constructor(options: ReceiptLogOptions) {
    this.#options = options
    this.#limits = options.limits ?? logLimits
    process.on("exit", this.#onExit)
  }

  /** Receipts that could not be written. */
  get lost(): number {
    return this.#lost
  }

  /** Takes a finished ticket's receipt, to be written soon. */
  append(receipt: TransferReceipt): void {
    if (this.#waiting.length >= waitingMax) {
      return this.#lose(1, `${waitingMax} of them wait already: the folder's disk is slow`)
    }
    this.#waiting.push(receipt)
    if (this.#waiting.length >= batchMax) void this.flush()
    // Unreferenced: at the end of the process the exit handler writes what is left.
    else this.#timer ??= setTimeout(() => void this.flush(), flushMillis).unref()
  }

  /** Writes what waits; resolves when it is in the file, or lost. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#flushing !== undefined || this.#waiting.length > 0) {
      this.#flushing ??= this.#write().finally(() => {
        this.#flushing = undefined
      })
      await this.#flushing
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush()
    process.off("exit", this.#onExit)
  }

  /** One batch, at most what fits a file. Never rejects. */
  async #write(): Promise<void> {
    const batch = this.#take()
    this.#unissued = batch
    try {
      const bytes = Buffer.from(batch.text)
      if (this.#fileBytes + bytes.byteLength > this.#limits.fileBytes) await this.#nextFile()
      const file = await open(this.#path, appendFlags, 0o600)
      try {
        for (let done = 0; done < bytes.byteLength; ) {
          this.#unissued = undefined
          done += (await file.write(bytes, done)).bytesWritten
        }
        this.#fileBytes += bytes.byteLength
      } finally {
        await file.close()
      }
    } catch (thrown) {
      this.#unissued = undefined
      // A folder that was removed is made anew with the next file.
      this.#fileBytes = Number.POSITIVE_INFINITY
      this.#lose(batch.count, thrown instanceof Error ? thrown.message : String(thrown))
    }
  }

  /** Lines of the receipts that wait: some of them, and at most a quarter of a file. */
  #take(): { readonly text: string; readonly count: number } {
    const lines: string[] = []
    let characters = 0
    for (const receipt of this.#waiting) {
      const line = `${JSON.stringify(receipt)}\n`
      if (lines.length > 0 && characters + line.length > this.#limits.fileBytes / 4) break
      if (lines.length >= batchMax) break
      characters += line.length
      lines.push(line)
    }
    this.#waiting = this.#waiting.slice(lines.length)
    return { text: lines.join(""), count: lines.length }
  }

  async #nextFile(): Promise<void> {
    const { folder, party } = this.#options
    if ((await mkdir(folder, { recursive: true, mode: 0o700 })) !== undefined) await chmod(folder, 0o700)
    this.#fileCount += 1
    this.#fileBytes = 0
    const old = this.#fileCount - this.#limits.filesOfProcess
    if (old >= 1) await removeFile(join(folder, logFileName(party, old)))
    await removeOldest(folder, this.#limits.filesInFolder - 1)
  }

  get #path(): string {
    return join(this.#options.folder, logFileName(this.#options.party, Math.max(1, this.#fileCount)))
  }

  /**
   * The last words of a process that ends: nothing can be awaited any more. A write that was issued is completed by
   * the runtime, which joins its threads.
   */
  #flushNow(): void {
    const text = `${this.#unissued?.text ?? ""}${this.#waiting.map((receipt) => `${JSON.stringify(receipt)}\n`).join("")}`
    this.#unissued = undefined
    this.#waiting = []
    if (text === "") return
    try {
      mkdirSync(this.#options.folder, { recursive: true, mode: 0o700 })
      appendFileSync(this.#path, text, { flag: appendFlags as unknown as string, mode: 0o600 })
    } catch (thrown) {
      this.#lose(1, thrown instanceof Error ? thrown.message : String(thrown))
    }
  }

  #lose(count: number, why: string): void {
    this.#lost += count
    if (this.#told) return
    this.#told = true
    this.#options.warn(`receipts are not written to ${this.#options.folder}: ${why}`)
  }
}
