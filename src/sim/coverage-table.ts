import { tableLines } from "../terminal/table.ts"
import { allTransitions, type CoverageCounts, neverTaken, noFault } from "./coverage.ts"

/** The table of what was reached: a line for each transition, a column for each fault that was in force. */
export function coverageLines(counts: CoverageCounts): string[] {
  const faults = [...new Set(Object.values(counts).flatMap((byFault) => Object.keys(byFault)))]
    .filter((fault) => fault !== noFault)
    .sort()
  const columns = [
    { title: "machine" },
    { title: "state" },
    { title: "event" },
    ...[noFault, ...faults].map((title) => ({ title, number: true })),
  ]
  const rows = allTransitions.map((name) => {
    const byFault = counts[name]
    const cells = [noFault, ...faults].map((fault) => short(byFault?.[fault] ?? 0))
    if (byFault === undefined) cells[0] = name in neverTaken ? "cannot" : "NEVER"
    return [...name.split(" "), ...cells]
  })
  return tableLines(columns, rows)
}

/** A count in at most five characters: 12345 is `12k`. */
function short(count: number): string {
  if (count === 0) return "."
  if (count < 10_000) return String(count)
  return count < 1e7 ? `${Math.round(count / 1000)}k` : `${Math.round(count / 1e6)}M`
}
