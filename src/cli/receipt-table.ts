import type { TransferReceipt } from "../receipt/receipt.ts"
import type { ReceiptSummary } from "../receipt/receipt-summary.ts"
import { oneLine } from "../terminal/one-line.ts"
import type { Style } from "../terminal/style.ts"
import { countText, rateText, sizeText, timeText } from "../terminal/units.ts"

/** Widths are fixed: rows of `--follow` come one by one. A cell that is wider moves the rest of its row. */
const columns = [
  { title: "ended (UTC)", width: 18 },
  { title: "request", width: 20 },
  { title: "path", width: 12 },
  { title: "blocks", width: 9, number: true },
  { title: "bytes", width: 10, number: true },
  { title: "rate", width: 11, number: true },
  { title: "total", width: 8, number: true },
  { title: "integrity", width: 18 },
  { title: "state", width: 9 },
] as const

/** The heading of the table. */
export const receiptHeading = (style: Style): string => style.strong(row(columns.map(({ title }) => title)))

/** One receipt as a line of the table. */
export function receiptRow(receipt: TransferReceipt, style: Style): string {
  const { path, integrity, error, state } = receipt
  const rails = path.rails.length > 1 ? `×${path.rails.length}` : ""
  const attach = receipt.mode === "attach" ? " attach" : ""
  const cells = [
    receipt.endedAt.slice(5, 23).replace("T", " "),
    receipt.requestId,
    `${path.transport}${rails}${attach}`,
    `${receipt.blocks}×${receipt.layers}`,
    sizeText(receipt.bytes),
    receipt.bytes === 0 || receipt.mode === "attach" ? "-" : rateText(receipt.bytesPerSecond),
    timeText(receipt.micros.total),
    `${integrity.level}: ${integrity.verdict}`,
    error === undefined ? state : `${state} ${error.code}`,
  ]
  return row(cells, (text, i) => {
    if (i === 0) return style.faint(text)
    if (i === 7) return verdictStyle(integrity.verdict, style)(text)
    if (i === 8) return state === "delivered" ? style.good(text) : style.bad(text)
    return text
  })
}

/** The last line: what was seen in all. */
export function summaryLine(summary: ReceiptSummary, style: Style): string {
  const counts = (of: ReadonlyMap<string, number>): string =>
    [...of]
      .sort((a, b) => b[1] - a[1])
      .map(([name, count]) => `${count} ${name}`)
      .join(", ")
  if (summary.tickets === 0) return "0 tickets"
  const times = `total p50 ${timeText(summary.timeWithin(0.5))}, p99 ${timeText(summary.timeWithin(0.99))}`
  const parts = [
    style.strong(countText(summary.tickets, "ticket")),
    sizeText(summary.bytes),
    times,
    counts(summary.states),
    counts(summary.verdicts),
  ]
  return parts.join("; ")
}

function verdictStyle(
  verdict: TransferReceipt["integrity"]["verdict"],
  style: Style,
): (text: string) => string {
  if (verdict === "unchecked") return style.faint
  return verdict === "identical" || verdict === "current" ? style.good : style.bad
}

/** Cells in their columns; painted last, so that colour takes no room. */
function row(
  cells: readonly string[],
  paint: (text: string, column: number) => string = (text) => text,
): string {
  const line = columns.map((column, i) => {
    const last = i === columns.length - 1
    const text = oneLine(cells[i] ?? "", last ? 60 : Math.max(column.width, 20))
    const padded = "number" in column ? text.padStart(column.width) : last ? text : text.padEnd(column.width)
    return paint(padded, i)
  })
  return line.join("  ").trimEnd()
}
