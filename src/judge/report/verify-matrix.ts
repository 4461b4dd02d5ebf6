import { html, type Markup } from "../../page/html.ts"
import { countText } from "../../terminal/units.ts"
import type { CaseResult, EngineResult } from "../verify-document.ts"
import { engineName } from "./frame.ts"

/** One case, as any of the engines had it. */
interface MatrixRow {
  readonly id: string
  readonly title: string
  readonly results: readonly (CaseResult | undefined)[]
}

/** Suites with their cases, in the order in which the first engine that has them ran them. */
export interface MatrixSuite {
  readonly suite: string
  readonly rows: readonly MatrixRow[]
}

/** The cases of all engines side by side: one that an engine did not get to has no result there. */
export function matrixOf(engines: readonly EngineResult[]): MatrixSuite[] {
  const suites = new Map<string, Map<string, CaseResult>>()
  for (const one of engines.flatMap(({ cases }) => cases)) {
    const suite = suites.get(one.suite) ?? new Map<string, CaseResult>()
    suites.set(one.suite, suite)
    if (!suite.has(one.id)) suite.set(one.id, one)
  }
  const byId = engines.map(({ cases }) => new Map(cases.map((one) => [one.id, one])))
  return [...suites].map(([suite, cases]) => ({
    suite,
    rows: [...cases.values()].map(({ id, title }) => ({
      id,
      title,
      results: byId.map((results) => results.get(id)),
    })),
  }))
}

/** The table engine by case. A failed cell leads to its finding. */
export function verifyMatrix(
  engines: readonly EngineResult[],
  findingId: (engine: number, result: CaseResult) => string,
): Markup {
  const head = engines.map(({ engine }) => html`<th scope="col" class="engine">${engineName(engine)}</th>`)
  const suites = matrixOf(engines).map(
    ({ suite, rows }) => html`<tbody>
<tr class="suite"><th scope="rowgroup" colspan="${engines.length + 1}"><span>${suite} <span class="soft small">${countText(rows.length, "case")}</span></span></th></tr>
${rows.map(
  ({
    id,
    title,
    results,
  }) => html`<tr data-has="${hasOf(results)}"><th scope="row"><code>${id}</code>${title}</th>${results.map(
    (result, i) => html`<td>${cellOf(result, result === undefined ? "" : findingId(i, result))}</td>`,
  )}</tr>
`,
)}</tbody>
`,
  )
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Engines and cases"><table class="matrix">
<thead><tr><th scope="col">Case, and the fault that it looks for</th>${head}</tr></thead>
${suites}</table></div>
`
}

/** Words for the filter: which verdicts a row holds. */
function hasOf(results: readonly (CaseResult | undefined)[]): string {
  const verdicts = new Set(results.map((result) => result?.verdict.replace(" ", "-") ?? "absent"))
  return [...verdicts].sort().join(" ")
}

function cellOf(result: CaseResult | undefined, finding: string): Markup {
  if (result === undefined) return html`<span class="cell absent">not run</span>`
  switch (result.verdict) {
    case "passed":
      return html`<span class="cell passed" title="${millisText(result.millis)}">✓ passed</span>`
    case "failed":
      return html`<a class="cell failed" href="#${finding}">✕ failed</a>`
    case "not supported":
      return html`<span class="cell unsupported" title="${result.why ?? ""}">– not supported</span>`
  }
}

const millisText = (millis: number): string =>
  millis < 1000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(1)} s`
