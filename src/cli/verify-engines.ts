import { type BundleParts, writeBundle } from "../judge/bundle/bundle.ts"
import { caseId, type JudgeCase } from "../judge/cases/case.ts"
import { engineSecrets } from "../judge/engines/engine-command.ts"
import { checkResultFiles, writeResultFile } from "../judge/report/result-file.ts"
import { verifyReportHtml } from "../judge/report/verify-report.ts"
import { chooseCases } from "../judge/run/choose-cases.ts"
import { askedEngines, ownEngines } from "../judge/run/choose-engines.ts"
import { junitXml } from "../judge/run/junit.ts"
import { exitCodeOf, runVerify, type VerifyWatcher } from "../judge/run/run-verify.ts"
import { verifyLines } from "../judge/run/verify-text.ts"
import type { VerifyDocument } from "../judge/verify-document.ts"
import { oneLine, terminalJson } from "../terminal/one-line.ts"
import { progressOn } from "../terminal/progress.ts"
import { styleFor } from "../terminal/style.ts"
import { type PeerFlags, preparePeers } from "./peer-options.ts"

/** The command's options as they were given. */
export interface VerifyFlags extends PeerFlags {
  readonly engines?: string[]
  readonly suites?: string[]
  readonly cases?: string[]
  readonly list: boolean
  readonly seed: number
  readonly quick?: boolean
  readonly long?: boolean
  readonly failFast: boolean
  readonly all: boolean
  readonly json?: string | true
  readonly junit?: string
  readonly report?: string
  readonly bundle?: string
}

export type VerifyRequest = VerifyFlags & { readonly interrupted: AbortSignal }

/** Runs what was asked for, and returns the exit code. @throws KvError for what cannot be asked. */
export async function verify(request: VerifyRequest): Promise<number> {
  const cases = chooseCases(request.suites, request.cases)
  const engines = request.engines === undefined ? ownEngines() : askedEngines(request.engines)
  if (request.list) return list(cases, request.json === true)
  checkResultFiles({
    "--json": typeof request.json === "string" ? request.json : undefined,
    "--junit": request.junit,
    "--report": request.report,
    "--bundle": request.bundle,
  })
  await preparePeers(engines, request, request.interrupted)
  let wrongBlock: BundleParts["wrongBlock"]
  const watcher = watcherOn(process.stderr, (engine, id, block) => {
    wrongBlock ??= { engine, caseId: id, ...block }
  })
  const document = await runVerify(
    {
      engines,
      asked: request.engines !== undefined,
      cases,
      seed: request.seed,
      effort: request.quick === true ? "quick" : request.long === true ? "long" : "default",
      failFast: request.failFast,
      all: request.all,
      signal: request.interrupted,
    },
    watcher,
  )
  watcher.end()
  // Known before anything is printed: a reader of standard output may go away in the middle of it.
  process.exitCode = exitCodeOf(document)
  try {
    await writeFiles(document, request, wrongBlock)
  } finally {
    if (request.json === true) process.stdout.write(`${terminalJson(document)}\n`)
    else process.stdout.write(`${verifyLines(document, styleFor(process.stdout)).join("\n")}\n`)
  }
  return exitCodeOf(document)
}

async function writeFiles(
  document: VerifyDocument,
  { json, junit, report, bundle }: VerifyRequest,
  wrongBlock: BundleParts["wrongBlock"],
): Promise<void> {
  if (typeof json === "string") writeResultFile(json, `${JSON.stringify(document, null, 2)}\n`)
  if (junit !== undefined) writeResultFile(junit, junitXml(document))
  if (report !== undefined) writeResultFile(report, verifyReportHtml(document))
  if (bundle === undefined) return
  const command = ["kvferry", ...process.argv.slice(2)]
  await writeBundle(bundle, {
    command,
    documents: { verify: document },
    ...(wrongBlock === undefined ? {} : { wrongBlock }),
    secrets: engineSecrets(),
  })
}

/** Tells what happens on a line of the terminal, and each failure as it comes. */
function watcherOn(
  stream: NodeJS.WriteStream,
  wrong: VerifyWatcher["wrong"],
): VerifyWatcher & { end(): void } {
  const progress = progressOn(stream)
  const style = styleFor(stream)
  const say = (line: string): void => {
    progress.end()
    stream.write(`${line}\n`)
  }
  return {
    wrong,
    began: (engine, one, done, total) => progress.update(`${engine}  ${caseId(one)}`, done / total),
    ended: (engine, { id, finding }) => {
      if (finding === undefined) return
      const cause = finding.cause === undefined ? finding.kind : `${finding.kind}: ${finding.cause}`
      say(`${style.bad("FAILED")} ${engine} ${id}  ${oneLine(cause, 80)}`)
    },
    leftOut: (engine, why) => say(style.faint(`${engine} is left out: ${oneLine(why, 300)}`)),
    end: () => progress.end(),
  }
}

function list(cases: readonly JudgeCase[], json: boolean): number {
  const rows = cases.map((one) => ({ id: caseId(one), title: one.title, needs: one.needs }))
  if (json) process.stdout.write(`${terminalJson({ cases: rows })}\n`)
  else {
    const width = Math.max(...rows.map(({ id }) => id.length))
    process.stdout.write(`${rows.map(({ id, title }) => `${id.padEnd(width)}  ${title}`).join("\n")}\n`)
  }
  return 0
}
