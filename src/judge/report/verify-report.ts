import { html, type Markup, type Part } from "../../page/html.ts"
import { countText, sizeText } from "../../terminal/units.ts"
import {
  type CaseResult,
  type CaseVerdict,
  type EngineResult,
  type Verdict,
  type VerifyDocument,
  whyNotJudged,
  wrongBytesCases,
} from "../verify-document.ts"
import { causeText } from "./cause-texts.ts"
import { findingView } from "./finding-view.ts"
import { engineName, panel, reportFrame, whenText } from "./frame.ts"
import { machineFactsList } from "./machine-facts.ts"
import { verifyMatrix } from "./verify-matrix.ts"

/** The record of one `kvferry verify` as a page: one file, readable without scripts and without a network. */
export function verifyReportHtml(document: VerifyDocument): string {
  const { engines, software, startedAt, tookMillis } = document
  const failing = engines.filter((engine) => failuresOf(engine).length > 0)
  const refused = engines.filter((engine) => withVerdict(engine, "not supported").length > 0)
  const findingId = (engine: number, result: CaseResult): string =>
    `finding-${engine}-${engines[engine]!.cases.indexOf(result)}`
  return reportFrame({
    command: "verify",
    title: `kvferry verify: ${document.verdict}`,
    when: whenText(startedAt, tookMillis, software),
    script: filterScript,
    body: [
      verdict(document, failing.length > 0, refused.length > 0),
      panel("engines", "Engines", html`<div class="cards">${engines.map(engineCard)}</div>`),
      failing.length > 0 && panel("findings", "Findings", findings(engines, findingId)),
      panel("matrix", "Every case", matrixTools, verifyMatrix(engines, findingId)),
      refused.length > 0 && panel("unsupported", "Not supported", unsupported(refused)),
      panel(
        "machine",
        "Machine",
        machineFactsList(document.machine, document.evidence),
        html`<p class="small soft">Seed ${document.seed}. The same seed fills the same bytes and draws the same blocks.</p>`,
      ),
    ],
  })
}

const withVerdict = ({ cases }: EngineResult, verdict: CaseVerdict): CaseResult[] =>
  cases.filter((one) => one.verdict === verdict)
const failuresOf = (engine: EngineResult): CaseResult[] => withVerdict(engine, "failed")

/** The colours of a verdict, and the mark before it. */
const verdictLooks = {
  passed: ["good", "✓"],
  failed: ["bad", "✕"],
  "not judged": ["open", "–"],
} as const satisfies Record<Verdict, readonly [string, string]>

function verdict(document: VerifyDocument, findings: boolean, refused: boolean): Markup {
  const { engines, interrupted } = document
  const [look, mark] = verdictLooks[document.verdict]
  const all = engines.flatMap(({ cases }) => cases)
  const count = (wanted: CaseVerdict): number => all.filter((one) => one.verdict === wanted).length
  const bytes = all.reduce((sum, { bytesChecked }) => sum + bytesChecked, 0)
  const failed = engines.filter((engine) => failuresOf(engine).length > 0).map(({ engine }) => engine)
  const stopped = engines.filter((engine) => engine.stopped !== undefined).map(({ engine }) => engine)
  const sentence =
    document.verdict === "passed"
      ? "All asked cases passed"
      : document.verdict === "not judged"
        ? `Not judged: ${whyNotJudged(document)}`
        : `${failed.slice(0, 3).join(", ")}${failed.length > 3 ? ` and ${failed.length - 3} more` : ""} failed`
  const links: [string, string, boolean][] = [
    ["engines", "Engines", true],
    ["findings", "Findings", findings],
    ["matrix", "Every case", true],
    ["unsupported", "Not supported", refused],
    ["machine", "Machine", true],
  ]
  return html`<section class="verdict ${look}" aria-label="Verdict">
<h1><span aria-hidden="true">${mark}</span><span>${sentence}</span></h1>
<p>${countText(count("passed"), "case")} passed, ${count("failed")} failed, ${count("not supported")} not supported; ${sizeText(bytes)} compared, byte by byte, by the judge and by no engine.${interrupted && html` <b>Interrupted: not every case was run.</b>`}${!interrupted && stopped.length > 0 && html` Stopped early: ${stopped.join(", ")}.`}</p>
<ul class="jump">${links.map(([id, text, there]) => there && html`<li><a href="#${id}">${text}</a></li>`)}</ul>
</section>
`
}

function engineCard(engine: EngineResult): Markup {
  const [passed, failed, none] = (["passed", "failed", "not supported"] as const).map(
    (verdict) => withVerdict(engine, verdict).length,
  ) as [number, number, number]
  const state: readonly [string, string] =
    engine.unavailable !== undefined
      ? ["unsupported", "does not run here"]
      : failed > 0
        ? ["failed", "failed"]
        : passed > 0
          ? ["passed", "passed"]
          : ["unsupported", "nothing judged"]
  const libraries = engine.libraries ?? []
  return html`<article class="card${failed > 0 && " bad"}">
<h3><span>${engineName(engine.engine)}</span><span class="tag ${state[0]}">${state[1]}</span></h3>
${share([passed, failed, none])}
<p>${passed} passed, ${failed} failed${failed > 0 && html` (${wrongBytesCases(engine) || "none"} with wrong bytes)`}, ${none} not supported</p>
${causeList(causesOf(engine))}${[engine.unavailable, engine.stopped].map((why) => why !== undefined && html`<p>${why}</p>\n`)}${(engine.about ?? engine.version) !== undefined && html`<p class="soft">${engine.about ?? engine.version}</p>\n`}${
  libraries.length > 0 &&
  html`<details class="folded"><summary>${libraries.length} ${libraries.length === 1 ? "library" : "libraries"}</summary>${libraries.map((file) => html`<p><code>${file}</code></p>`)}</details>\n`
}</article>
`
}

const causesMax = 3

function causeList(causes: readonly (readonly [string, number])[]): Part {
  const rest = causes.slice(causesMax)
  return [
    causes
      .slice(0, causesMax)
      .map(([cause, count]) => html`<p><b>${causeText(cause)}</b>: ${countText(count, "case")}</p>\n`),
    rest.length > 0 &&
      html`<p class="soft">other causes: ${countText(
        rest.reduce((sum, [, count]) => sum + count, 0),
        "case",
      )}</p>\n`,
  ]
}

/** Recognised causes of an engine's failures, the most frequent first. */
function causesOf(engine: EngineResult): [string, number][] {
  const counts = new Map<string, number>()
  for (const { finding } of failuresOf(engine)) {
    if (finding?.cause !== undefined) counts.set(finding.cause, (counts.get(finding.cause) ?? 0) + 1)
  }
  return [...counts].sort(([, a], [, b]) => b - a)
}

function share(counts: readonly [number, number, number]): Markup {
  const all = Math.max(1, counts[0] + counts[1] + counts[2])
  let x = 0
  const parts = (["passed", "failed", "unsupported"] as const).map((style, i) => {
    const width = (counts[i]! / all) * 100
    const rect = html`<rect class="${style}" x="${x.toFixed(2)}%" width="${width.toFixed(2)}%" height="100%"/>`
    x += width
    return rect
  })
  return html`<svg class="share" aria-hidden="true">${parts}</svg>`
}

/** Of each engine that failed, its findings: the most telling one first, and open. */
function findings(
  engines: readonly EngineResult[],
  findingId: (engine: number, result: CaseResult) => string,
): Part {
  return engines.map((engine, i) => {
    const failures = failuresOf(engine)
    if (failures.length === 0) return undefined
    const telling = mostTelling(engine)
    const inOrder = [telling, ...failures.filter((one) => one !== telling)]
    return html`<h3 class="mono">${engineName(engine.engine)}</h3>
${inOrder.map((result) => findingView(findingId(i, result), result, result === telling))}`
  })
}

/** Of the failures with the most frequent cause, the one whose maps show the most wrong blocks. */
function mostTelling(engine: EngineResult): CaseResult {
  const [cause] = causesOf(engine)[0] ?? [undefined]
  const alike = failuresOf(engine).filter(({ finding }) => cause === undefined || finding?.cause === cause)
  return alike.reduce((best, one) => (wrongBlocks(one) > wrongBlocks(best) ? one : best))
}

/** Blocks of a finding's maps that hold what they should not. */
const wrongBlocks = ({ finding }: CaseResult): number =>
  (finding?.maps ?? []).reduce((sum, { blocks }) => sum + blocks.replace(/[.o]/g, "").length, 0)

/** Reasons, each with the cases that it kept from being judged. */
function unsupported(engines: readonly EngineResult[]): Part {
  return engines.map((engine) => {
    const byReason = new Map<string, CaseResult[]>()
    for (const result of withVerdict(engine, "not supported")) {
      const why = result.why ?? engine.unavailable ?? "no reason was given"
      byReason.set(why, [...(byReason.get(why) ?? []), result])
    }
    return html`<h3 class="mono">${engineName(engine.engine)}</h3>
<ul class="notes">${[...byReason].map(
      ([why, cases]) =>
        html`<li>${why} <details class="folded"><summary>${countText(cases.length, "case")}</summary>${cases.map(({ id }) => html`<code>${id}</code> `)}</details></li>`,
    )}</ul>
`
  })
}

const matrixTools = html`<p class="small soft">What an engine cannot take part in is not supported, and never a pass; the reasons are below. A failed cell leads to its finding.</p>
<div class="tools" id="tools" role="group" aria-label="Which cases are shown" hidden><button type="button" data-show="" aria-pressed="true">All</button><button type="button" data-show="failed" aria-pressed="false">Failed somewhere</button><button type="button" data-show="not-supported" aria-pressed="false">Not supported somewhere</button></div>
`

/** Shows the rows of one verdict, and opens the finding that a link leads to. */
const filterScript = `"use strict";
const tools = document.getElementById("tools");
tools.hidden = false;
tools.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  for (const one of tools.children) one.setAttribute("aria-pressed", String(one === button));
  const wanted = button.dataset.show;
  for (const row of document.querySelectorAll(".matrix tr[data-has]"))
    row.hidden = wanted !== "" && !row.dataset.has.split(" ").includes(wanted);
  for (const body of document.querySelectorAll(".matrix tbody"))
    body.hidden = !body.querySelector("tr[data-has]:not([hidden])");
});
const reveal = () => {
  const place = document.getElementById(location.hash.slice(1));
  if (place && place.tagName === "DETAILS") { place.open = true; place.scrollIntoView(); }
};
addEventListener("hashchange", reveal);
reveal();
`
