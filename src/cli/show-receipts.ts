import { setTimeout as sleep } from "node:timers/promises"
import { KvError } from "../errors/kv-error.ts"
import type { TransferReceipt } from "../receipt/receipt.ts"
import { matches, type ReceiptFilter } from "../receipt/receipt-filter.ts"
import { ReceiptSummary } from "../receipt/receipt-summary.ts"
import { LastReceipts } from "../records/last-receipts.ts"
import { ReceiptFolder } from "../records/receipt-folder.ts"
import { terminalJson } from "../terminal/one-line.ts"
import { harmless, type Style, styleFor } from "../terminal/style.ts"
import { countText } from "../terminal/units.ts"
import { receiptHeading, receiptRow, summaryLine } from "./receipt-table.ts"

/** What is to be shown, and how. */
export interface ShowOptions {
  readonly folder: string
  /** The user named the folder: one that is not there is a mistake, also when new receipts are followed. */
  readonly named: boolean
  readonly follow: boolean
  /** How many of those that match are shown, the last ones. */
  readonly last: number
  readonly json: boolean
  readonly filter: ReceiptFilter
  readonly interrupted: AbortSignal
}

/** Time between two looks at the folder. Polling also works where a file system reports no changes. */
const lookMillis = 250

/**
 * Prints receipts, and follows new ones until interrupted.
 * @returns the exit code. @throws KvError KV_OS when there is no such folder, or it cannot be read.
 */
export async function showReceipts(options: ShowOptions): Promise<0 | 130> {
  const style = styleFor(process.stdout)
  const folder = new ReceiptFolder(options.folder)
  const summary = new ReceiptSummary()
  const last = new LastReceipts(options.last)
  const taken = await lookAt(folder, options, (receipt) => {
    if (!matches(receipt, options.filter)) return
    summary.add(receipt)
    last.add(receipt)
  })
  const receipts = last.inOrder()
  if (!options.follow) {
    showOnce(receipts, options, style)
    tell(options, summary, receipts.length, folder, style)
    return options.interrupted.aborted ? 130 : 0
  }
  if (!taken) say(`${options.folder} is not there yet: waiting for the first transfer`)
  if (!options.json) print(receiptHeading(style))
  for (const receipt of receipts) showOne(receipt, options, style)
  await followNew(folder, options, summary, style)
  tell(options, summary, summary.tickets, folder, style)
  return 130
}

async function followNew(
  folder: ReceiptFolder,
  options: ShowOptions,
  summary: ReceiptSummary,
  style: Style,
): Promise<void> {
  while (!options.interrupted.aborted) {
    await sleep(lookMillis, undefined, { signal: options.interrupted }).catch(() => {})
    const fresh = new LastReceipts(Number.POSITIVE_INFINITY)
    await lookAt(folder, options, (receipt) => {
      if (!matches(receipt, options.filter)) return
      summary.add(receipt)
      fresh.add(receipt)
    })
    // Files are read one after the other; what came meanwhile is told in the order of its time.
    for (const receipt of fresh.inOrder()) showOne(receipt, options, style)
  }
}

/** One look at the folder; false when it is not there and that is no mistake. */
async function lookAt(
  folder: ReceiptFolder,
  options: ShowOptions,
  take: (receipt: TransferReceipt) => void,
): Promise<boolean> {
  try {
    await folder.look(take)
    return true
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code === undefined) throw thrown
    if (code === "ENOENT" && options.follow && !options.named) return false
    throw unreadable(options.folder, code, thrown)
  }
}

function unreadable(folder: string, code: string, cause: unknown): KvError {
  if (code !== "ENOENT") {
    return new KvError("KV_OS", {
      what: `the receipts in ${folder} cannot be read`,
      why: cause instanceof Error ? cause.message : code,
      next: "name the folder that the workers write to with --dir",
      cause,
    })
  }
  return new KvError("KV_OS", {
    what: `there are no receipts: ${folder} does not exist`,
    why: "no worker of this user has finished a transfer into it yet",
    next: "run `npm start` or `npx kvferry demo` once; or name the folder of `kvferry worker --receipts` with --dir",
    cause,
  })
}

function showOnce(receipts: readonly TransferReceipt[], options: ShowOptions, style: Style): void {
  if (options.json) {
    process.stdout.write("[")
    for (const [i, receipt] of receipts.entries()) {
      process.stdout.write(`${i === 0 ? "\n" : ",\n"}${terminalJson(receipt)}`)
    }
    print(receipts.length === 0 ? "]" : "\n]")
  } else if (receipts.length > 0) {
    print(receiptHeading(style))
    for (const receipt of receipts) showOne(receipt, options, style)
  }
}

const showOne = (receipt: TransferReceipt, { json }: ShowOptions, style: Style): void =>
  print(json ? terminalJson(receipt) : receiptRow(receipt, style))

/** The end: what was seen in all, and what could not be read. With --json it goes to standard error. */
function tell(
  options: ShowOptions,
  summary: ReceiptSummary,
  shown: number,
  folder: ReceiptFolder,
  style: Style,
): void {
  if (!options.json) {
    const part = shown < summary.tickets ? `; the last ${shown} are shown (--last all for every one)` : ""
    const none = summary.tickets === 0 ? ` match in ${harmless(options.folder)}` : ""
    print(`${summaryLine(summary, style)}${part}${none}`)
  }
  const torn = options.follow ? 0 : folder.torn
  if (folder.skipped > 0) say(`${countText(folder.skipped, "line")} skipped: no receipts of this version`)
  if (torn > 0)
    say(`${countText(torn, "file")} ended in the middle of a line: still being written, or cut off`)
}

const print = (line: string): void => void process.stdout.write(`${line}\n`)
const say = (line: string): void => void process.stderr.write(`kvferry: ${harmless(line)}\n`)
