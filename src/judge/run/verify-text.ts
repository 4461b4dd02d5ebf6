import { oneLine } from "../../terminal/one-line.ts"
import type { Style } from "../../terminal/style.ts"
import { countText, sizeText, timeText } from "../../terminal/units.ts"
import {
  type CaseResult,
  type CaseVerdict,
  type EngineResult,
  type VerifyDocument,
  whyNotJudged,
  wrongBytesCases,
} from "../verify-document.ts"

const textChars = 1200
const logLines = 3

/** A run as lines for a terminal: what was judged, a matrix engine x case, what was found, and the verdict last. */
export function verifyLines(document: VerifyDocument, style: Style): string[] {
  const { engines } = document
  return [
    ...engines.flatMap((engine) => aboutLines(engine, style)),
    "",
    ...matrixLines(engines, style),
    ...engines.flatMap((engine) => findingLines(engine, style)),
    ...unsupportedLines(engines, style),
    "",
    ...engines.map((engine) => engineLine(engine, style)),
    lastLine(document, style),
  ]
}

function aboutLines({ engine, about, libraries = [], unavailable }: EngineResult, style: Style): string[] {
  if (unavailable !== undefined)
    return [`${style.strong(engine)}  ${style.bad("does not run here")}: ${oneLine(unavailable, textChars)}`]
  const files = libraries.map((file) => style.faint(`  ${oneLine(file, 200)}`))
  return [`${style.strong(engine)}  ${oneLine(about ?? "", 300)}`, ...files]
}

const cellTexts = { passed: "ok", failed: "FAILED", "not supported": "-" } as const satisfies Record<
  CaseVerdict,
  string
>
const notRun = "not run"

function matrixLines(engines: readonly EngineResult[], style: Style): string[] {
  const ids = [...new Set(engines.flatMap(({ cases }) => cases.map(({ id }) => id)))]
  if (ids.length === 0) return []
  const first = Math.max(...ids.map((id) => id.length)) + 2
  const widths = engines.map(({ engine }) => Math.max(engine.length, notRun.length) + 2)
  const heading = engines.map(({ engine }, i) => style.strong(engine.padEnd(widths[i]!))).join("")
  const lines = [`${"".padEnd(first)}${heading}`.trimEnd()]
  let suite: string | undefined
  for (const id of ids) {
    const cells = engines.map(({ cases }, i) =>
      cell(
        cases.find((one) => one.id === id),
        widths[i]!,
        style,
      ),
    )
    if (suite !== undefined && !id.startsWith(`${suite}/`)) lines.push("")
    suite = id.split("/")[0]!
    lines.push(`${id.padEnd(first)}${cells.join("")}`.trimEnd())
  }
  return lines
}

function cell(result: CaseResult | undefined, width: number, style: Style): string {
  const text = (result === undefined ? notRun : cellTexts[result.verdict]).padEnd(width)
  if (result?.verdict === "passed") return style.good(text)
  return result?.verdict === "failed" ? style.bad(text) : style.faint(text)
}

function findingLines({ engine, cases, stopped }: EngineResult, style: Style): string[] {
  const found = cases.flatMap((one) => {
    if (one.finding === undefined) return []
    const { kind, cause, text, log = "" } = one.finding
    const words = log
      .trimEnd()
      .split("\n")
      .filter((line) => line.trim() !== "")
      .slice(-logLines)
    return [
      "",
      `${style.bad("FAILED")} ${style.strong(`${engine} ${one.id}`)}  ${kind}${cause === undefined ? "" : `: ${cause}`}`,
      `  would cost: ${one.title}`,
      `  found:      ${oneLine(text, textChars)}`,
      ...words.map((line) => style.faint(`  │ ${oneLine(line, 200)}`)),
    ]
  })
  return stopped === undefined ? found : [...found, "", `${style.strong(engine)} was stopped: ${stopped}`]
}

/** Reasons, each once, with the cases that it keeps from being run. */
function unsupportedLines(engines: readonly EngineResult[], style: Style): string[] {
  const reasons = new Map<string, { readonly engine: string; readonly why: string; count: number }>()
  for (const { engine, cases, unavailable } of engines) {
    if (unavailable !== undefined) continue
    for (const { verdict, why = "" } of cases) {
      if (verdict !== "not supported") continue
      const key = `${engine} ${why}`
      const reason = reasons.get(key) ?? { engine, why, count: 0 }
      reason.count += 1
      reasons.set(key, reason)
    }
  }
  if (reasons.size === 0) return []
  const lines = [...reasons.values()].map(({ engine, why, count }) =>
    style.faint(`  ${engine}: ${countText(count, "case")}: ${oneLine(why, 300)}`),
  )
  return ["", "Not supported (-), which is no pass:", ...lines]
}

function engineLine(result: EngineResult, style: Style): string {
  const { engine, cases, unavailable } = result
  if (unavailable !== undefined) return `${style.bad("not here")}  ${engine}`
  const count = (wanted: CaseVerdict): number => cases.filter(({ verdict }) => verdict === wanted).length
  const failed = count("failed")
  const ofBytes = failed === 0 ? "" : ` (${wrongBytesCases(result) || "none"} with wrong bytes)`
  const parts = [
    `${count("passed")} passed`,
    `${failed} failed${ofBytes}`,
    `${count("not supported")} not supported`,
  ]
  const bytes = cases.reduce((sum, { bytesChecked }) => sum + bytesChecked, 0)
  const millis = cases.reduce((sum, one) => sum + one.millis, 0)
  const word =
    failed > 0 ? style.bad("failed") : count("passed") > 0 ? style.good("passed") : style.bad("not judged")
  return `${word}  ${engine}: ${parts.join(", ")}; ${sizeText(bytes)} compared in ${timeText(millis * 1000)}`
}

function lastLine(document: VerifyDocument, style: Style): string {
  const { verdict, interrupted, seed, tookMillis } = document
  const word =
    verdict === "passed" ? style.good(verdict) : verdict === "failed" ? style.bad(verdict) : verdict
  const how = interrupted ? "interrupted: this is only what there was until then; " : ""
  const why =
    verdict === "not judged" && !interrupted
      ? `: ${oneLine(whyNotJudged(document), 300)}; nothing failed`
      : ""
  return `${style.strong("verdict:")} ${how}${word}${why} (seed ${seed}, ${timeText(tookMillis * 1000)})`
}
