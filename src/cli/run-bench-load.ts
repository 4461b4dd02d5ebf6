import { writeBundle } from "../judge/bundle/bundle.ts"
import { engineSecrets } from "../judge/engines/engine-command.ts"
import { type BenchedLoad, benchLoad, shapeOf } from "../judge/load/bench-load.ts"
import { checkComparable, compareLoads, readLoadDocument } from "../judge/load/compare-loads.ts"
import { ownNics } from "../judge/load/line-rates.ts"
import { loadLines } from "../judge/load/load-lines.ts"
import { benchMatrix, matrixCells } from "../judge/load/load-matrix.ts"
import { type LoadFlags, type LoadRequest, loadRequest } from "../judge/load/load-request.ts"
import type { Placement } from "../judge/load/open-engines.ts"
import type { LoadDocument } from "../judge/load-document.ts"
import { loadReportHtml } from "../judge/report/load-report.ts"
import { loadChartLines } from "../judge/report/load-text.ts"
import { checkResultFiles, writeResultFile } from "../judge/report/result-file.ts"
import { terminalJson } from "../terminal/one-line.ts"
import { progressOn } from "../terminal/progress.ts"
import { harmless, styleFor } from "../terminal/style.ts"
import { sizeText } from "../terminal/units.ts"
import { interruption } from "./lifetime.ts"
import type { LoadOptionValues } from "./load-options.ts"
import { preparePeers } from "./peer-options.ts"

/**
 * Runs a load, prints it in the form that was asked for, and sets the exit code.
 *
 * @param last lines of the document that come behind all others.
 * @throws KvError before anything runs.
 */
export async function runBenchLoad(
  values: LoadOptionValues,
  flags: LoadFlags,
  placement: Placement,
  last: (document: LoadDocument) => readonly string[] = () => [],
): Promise<void> {
  const request = loadRequest(flags)
  const { report, bundle, compare, json } = values
  const older = compare === undefined ? undefined : readLoadDocument(compare)
  if (older !== undefined) {
    const names = request.engines.map(({ name }) => name)
    checkComparable(older, shapeOf(request), names)
  }
  checkResultFiles({ "--report": report, "--bundle": bundle })
  const say = (lines: readonly string[]): void => {
    if (!json && lines.length > 0) process.stdout.write(`${lines.join("\n")}\n`)
  }
  const signal = interruption()
  await preparePeers(request.engines, values, signal)
  if (request.model !== undefined) say([...request.model.formula, ""])
  const progress = progressOn(process.stderr)
  signal.addEventListener(
    "abort",
    () => {
      progress.end()
      process.stderr.write("interrupted: what there is comes after this step; Ctrl-C again ends it at once\n")
    },
    { once: true },
  )
  const options = {
    placement,
    signal,
    onStep: (label: string, fraction: number) => progress.update(label, fraction),
  }
  let benched: BenchedLoad
  let document: LoadDocument
  try {
    const cells = request.matrix ? matrixCells(request, endsOf(placement)) : undefined
    benched = await benchLoad(request, options)
    const matrix = cells === undefined ? {} : { matrix: await benchMatrix(request, cells, options) }
    document = { ...benched.document, ...matrix, ...(signal.aborted ? { interrupted: true } : {}) }
  } finally {
    progress.end()
  }
  if (older !== undefined) document = { ...document, comparison: compareLoads(older, document) }
  // Known before anything is printed: a reader of standard output may go away in the middle of it.
  process.exitCode = exitCodeOf(document)
  const written: string[] = []
  try {
    if (report !== undefined) {
      writeResultFile(report, loadReportHtml(document))
      written.push(`report: ${report}`)
    }
    if (bundle !== undefined) written.push(await bundled(bundle, request, document, benched, placement))
  } finally {
    const style = styleFor(process.stdout)
    const charts = loadChartLines(document, { columns: process.stdout.columns ?? 100, style })
    say([
      ...loadLines(document, style, process.stdout.columns),
      ...(charts.length === 0 ? [] : ["", ...charts]),
      ...last(document),
    ])
    if (json) process.stdout.write(`${terminalJson(document)}\n`)
    if (request.verbose)
      for (const { name, text } of benched.logs) process.stderr.write(`--- ${name}\n${harmless(text)}\n`)
  }
  say(written)
}

const endsOf = ({ nics }: Placement): Readonly<Record<"prefill" | "decode", readonly string[]>> =>
  nics ?? { prefill: ownNics(), decode: ownNics() }

async function bundled(
  file: string,
  { target }: LoadRequest,
  document: LoadDocument,
  { logs, wrong }: BenchedLoad,
  { secrets = [] }: Placement,
): Promise<string> {
  const host = target?.replace(/:\d+$/, "")
  const { files, bytes } = await writeBundle(file, {
    command: ["kvferry", ...process.argv.slice(2)],
    documents: { load: document },
    logs,
    receipts: document.results.flatMap(({ receipt }) => (receipt === undefined ? [] : [receipt])),
    secrets: [...engineSecrets(), ...secrets],
    ...(host === undefined ? {} : { hosts: [host] }),
    ...(wrong === undefined ? {} : { wrongBlock: { ...wrong, caseId: `load/${document.shape.op}` } }),
  })
  return `bundle: ${file}, ${files.length} files, ${sizeText(bytes)}`
}

/** Wrong bytes come before everything, then what the user did, then who could not run. */
function exitCodeOf({ verdict, interrupted, matrix = [] }: LoadDocument): 0 | 1 | 3 | 130 {
  const verdicts = [verdict, ...matrix.map((pair) => pair.verdict)]
  if (verdicts.includes("different")) return 1
  if (interrupted) return 130
  return verdicts.includes("failed") ? 3 : 0
}
