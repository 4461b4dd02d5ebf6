import type { CaseResult, EngineResult, VerifyDocument } from "../verify-document.ts"

/**
 * A run as JUnit's XML, as CI servers read it: one suite for each engine and suite of cases. A case that is not supported is
 * skipped, an engine that does not run here is an error.
 */
export function junitXml(document: VerifyDocument): string {
  const suites = document.engines.flatMap((engine) => suiteElements(engine, document.startedAt))
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="kvferry verify">\n${suites.join("")}</testsuites>\n`
}

function suiteElements(engine: EngineResult, startedAt: string): string[] {
  const names = [...new Set(engine.cases.map(({ suite }) => suite))]
  return names.map((suite) => {
    const cases = engine.cases.filter((one) => one.suite === suite)
    const count = (verdict: CaseResult["verdict"]): number =>
      cases.filter((one) => one.verdict === verdict).length
    const here = engine.unavailable === undefined
    const attributes = {
      name: `${engine.engine} ${suite}`,
      tests: cases.length,
      failures: count("failed"),
      errors: here ? 0 : cases.length,
      skipped: here ? count("not supported") : 0,
      time: seconds(cases.reduce((sum, { millis }) => sum + millis, 0)),
      timestamp: startedAt,
    }
    return `  <testsuite${attributesText(attributes)}>\n${cases.map((one) => caseElement(engine, one)).join("")}  </testsuite>\n`
  })
}

function caseElement(
  engine: EngineResult,
  { id, title, verdict, why = "", finding, millis }: CaseResult,
): string {
  const attributes = {
    classname: `${engine.engine}.${id.split("/")[0]}`,
    name: `${id}: ${title}`,
    time: seconds(millis),
  }
  const open = `    <testcase${attributesText(attributes)}`
  if (verdict === "passed") return `${open}/>\n`
  if (verdict === "not supported") {
    const element = engine.unavailable === undefined ? "skipped" : "error"
    return `${open}><${element}${attributesText({ message: why })}/></testcase>\n`
  }
  const { kind = "failed", cause, text = "", log } = finding ?? {}
  const type = cause === undefined ? kind : `${kind}: ${cause}`
  const output = log === undefined ? "" : `<system-err>${xmlText(log)}</system-err>`
  return `${open}><failure${attributesText({ message: text, type })}>${xmlText(text)}</failure>${output}</testcase>\n`
}

const seconds = (millis: number): string => (millis / 1000).toFixed(3)

function attributesText(attributes: Readonly<Record<string, string | number>>): string {
  return Object.entries(attributes)
    .map(
      ([name, value]) =>
        ` ${name}="${xmlText(String(value)).replaceAll("\n", "&#10;").replaceAll("\t", "&#9;")}"`,
    )
    .join("")
}

/**
 * Text that may stand in XML 1.0: its five characters as entities, and what no XML may hold, not even as a reference, as
 * a number that can be read.
 * @see https://www.w3.org/TR/xml/#charsets
 */
export function xmlText(text: string): string {
  return text
    .replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
    .replace(/[^\t\n\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, (char) => {
      return `\\u{${char.codePointAt(0)!.toString(16)}}`
    })
}
