import { html, type Markup } from "../../page/html.ts"
import { sizeText } from "../../terminal/units.ts"
import type { CaseResult, Finding, WrongPlace } from "../verify-document.ts"
import { blockMaps } from "./block-map.ts"
import { causeText, kindText } from "./cause-texts.ts"

/** Everything that is known of a case that failed, below a heading that folds. */
export function findingView(id: string, result: CaseResult, open: boolean): Markup {
  const { finding, title, id: name } = result
  const kind = finding === undefined ? "failed" : kindText(finding.kind)
  return html`<details class="finding" id="${id}"${open && html` open`}>
<summary><h4><code>${name}</code></h4><span class="tag bad">${kind}</span>${finding?.cause !== undefined && html`<span class="cause">cause: ${causeText(finding.cause)}</span>`}</summary>
<div class="body">
<p class="soft small">What this case looks for: ${title}</p>
${finding === undefined ? html`<p>The judge wrote down no reason.</p>` : findingBody(finding, result.bytesChecked)}</div>
</details>
`
}

function findingBody(finding: Finding, bytesChecked: number): Markup {
  const { text, first, wrongBytes, maps, log } = finding
  return html`<p>${text}</p>
${wrongBytes !== undefined && html`<p><b>${wrongBytes.toLocaleString("en")}</b> ${wrongBytes === 1 ? "byte" : "bytes"} wrong, of ${bytesChecked.toLocaleString("en")} compared (${sizeText(bytesChecked)}).</p>\n`}${first !== undefined && firstWrongPlace(first)}${maps !== undefined && maps.length > 0 && blockMaps(maps, first)}${log !== undefined && log.trim() !== "" && lastWordsOf(log)}`
}

function firstWrongPlace({ agent, layer, block, offset, expected, found }: WrongPlace): Markup {
  return html`<table class="places"><caption>The first wrong place</caption>
<tbody>
<tr><th scope="row">where</th><td>${agent}, layer ${layer}, block ${block}, byte ${offset.toLocaleString("en")} <span class="soft">(0x${offset.toString(16)})</span> of the layer's region</td></tr>
<tr><th scope="row">expected</th><td><code>${expected}</code></td></tr>
<tr><th scope="row">found</th><td><code>${found}</code></td></tr>
</tbody></table>
`
}

function lastWordsOf(log: string): Markup {
  const lines = log.split("\n").length
  return html`<details class="folded"><summary>The engine's last words (${lines} ${lines === 1 ? "line" : "lines"})</summary>
<pre>${log}</pre></details>
`
}
