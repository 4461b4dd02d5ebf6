import type { Style } from "../../terminal/style.ts"
import type { BenchFindings } from "../bench-report.ts"
import { lineupLines } from "./lineup-lines.ts"
import {
  curveLines,
  engineLines,
  idleLines,
  integrityLines,
  machineLines,
  peerLines,
  planLines,
} from "./other-lines.ts"

/** What is known before anything is measured. */
export function headLines({ machine, ceilings, notes }: BenchFindings, load: number, style: Style): string[] {
  return [
    ...machineLines(machine, load, style),
    `${style.strong("Ceilings")}  ${ceilings}`,
    ...notes.map((note) => style.faint(`  ${note}`)),
  ]
}

/** Whatever was found, in the order of the report. */
export function findingsLines(findings: BenchFindings, style: Style): string[] {
  const { engine, lineups, curves, peers } = findings
  const parts = [
    engine === undefined ? [] : engineLines(engine, style),
    peerLines(peers, style),
    ...lineups.map((lineup) => lineupLines(lineup, style)),
    integrityLines(findings, style),
    planLines(findings, style),
    idleLines(findings, style),
    ...curves.map((curve) => curveLines(curve, style)),
  ]
  return parts.filter((lines) => lines.length > 0).flatMap((lines, i) => (i === 0 ? lines : ["", ...lines]))
}
