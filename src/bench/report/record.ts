import { basename, extname } from "node:path"
import { styleFor } from "../../terminal/style.ts"
import type { BenchReport } from "../bench-report.ts"
import { curvesSvg } from "./curves-svg.ts"
import { targetLines } from "./other-lines.ts"
import { findingsLines, headLines } from "./report-lines.ts"
import { ratioText } from "./text.ts"

/** A file of a record. */
export interface RecordFile {
  readonly file: string
  readonly text: string
}

/** A record as a page, its picture, and its figures as JSON, all beside each other. */
export function recordFiles(page: string, report: BenchReport): RecordFile[] {
  const stem = page.slice(0, page.length - extname(page).length)
  const picture = report.curves.length === 0 ? [] : [{ file: `${stem}.svg`, text: curvesSvg(report.curves) }]
  return [
    { file: page, text: recordText(report, basename(stem)) },
    { file: `${stem}.json`, text: `${JSON.stringify(report, undefined, 1)}\n` },
    ...picture,
  ]
}

function recordText(report: BenchReport, stem: string): string {
  const plain = styleFor({ isTTY: false }, {})
  const { startedAt, tookMillis, software, quick, machine, targets, verdict } = report
  const reached = targets.filter((target) => target.verdict === "reached").length
  const missed = targets.filter((target) => target.verdict === "not reached")
  return [
    `# ${startedAt.slice(0, 10)}: benchmark`,
    "",
    `kvferry ${software}, ${quick ? "`--quick`, " : ""}${startedAt}, ${Math.round(tookMillis / 1000)} s. Bytes: ${verdict}.`,
    `${reached} targets reached, ${missed.length} not reached, ${targets.length - reached - missed.length} not measured.`,
    "",
    ...missed.map(
      ({ what, bound, value }) =>
        `- not reached: ${what}, ${bound}: ${value === undefined ? "" : ratioText(value)}`,
    ),
    ...(missed.length > 0 ? [""] : []),
    "## Machine",
    "",
    "| | |",
    "|---|---|",
    `| processor | ${machine.cpuModel}, ${machine.cores} cores, ${machine.virtual} |`,
    `| caches | ${machine.caches} |`,
    `| memory | ${(machine.memoryBytes / 2 ** 30).toFixed(1)} GiB |`,
    `| kernel, Node | ${machine.kernel}, ${machine.node} |`,
    `| transparent huge pages | ${machine.hugePages}; for shared memory: ${machine.sharedMemoryHugePages} |`,
    `| load of the minute before, and after | ${report.loadAverage1MinuteBefore.toFixed(2)}, ${report.loadAverage1MinuteAfter.toFixed(2)} |`,
    "",
    "## Targets",
    "",
    ...fenced(targetLines(targets, plain)),
    "",
    "## What was measured",
    "",
    ...fenced([
      ...headLines(report, report.loadAverage1MinuteBefore, plain),
      "",
      ...findingsLines(report, plain),
    ]),
    "",
    ...(report.curves.length === 0 ? [] : [`![Time of one among many](${stem}.svg)`, ""]),
    `Figures: [${stem}.json](${stem}.json). Evidence: *hardware*, for this processor and the loopback device. No NIC, no wire.`,
    "",
  ].join("\n")
}

const fenced = (lines: readonly string[]): string[] => ["```text", ...lines, "```"]
