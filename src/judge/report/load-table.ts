import { html, type Markup, type Part } from "../../page/html.ts"
import { sizeText } from "../../terminal/units.ts"
import { type LoadDocument, type LoadResult, outcomeOf } from "../load-document.ts"
import { ceilingOf, digits, fixed, microsText } from "./figures.ts"

/** A column: its heading, and what it says of an engine whose bytes were right. */
type Column = readonly [string, (result: LoadResult) => Part]

/** Rates, times and processor time of every engine. */
export function figuresTable(results: readonly LoadResult[]): Markup {
  const ceiling = ceilingOf(results)?.bytesPerSecond?.median
  const time = (key: "p50" | "p90" | "p99" | "p999" | "max") => (result: LoadResult) =>
    result.latency === undefined ? "" : microsText(result.latency[key])
  const columns: Column[] = [
    ["GB/s", ({ bytesPerSecond: rate }) => rate && fixed(rate.median / 1e9)],
    ["Gb/s", ({ bytesPerSecond: rate }) => rate && fixed((rate.median * 8) / 1e9)],
    [
      "GB/s, interval",
      ({ bytesPerSecond: rate }) => rate && `${fixed(rate.low / 1e9)} to ${fixed(rate.high / 1e9)}`,
    ],
    [
      "of ceiling",
      ({ bytesPerSecond: rate }) => rate && ceiling && `${((rate.median / ceiling) * 100).toFixed(0)} %`,
    ],
    ["p50", time("p50")],
    ["p90", time("p90")],
    ["p99", time("p99")],
    ["p99.9", time("p999")],
    ["max", time("max")],
    ["CPU s/GB", ({ cpuSecondsPerGb: cpu }) => cpu !== undefined && digits(cpu)],
  ]
  return table("Rates and times of one transfer", columns, results)
}

/** What an engine takes before its first byte, and what it keeps. */
export function costsTable(results: readonly LoadResult[]): Markup {
  const micros = (key: "open" | "register" | "connect" | "prepare") => (result: LoadResult) =>
    result.micros && microsText(result.micros[key])
  const columns: Column[] = [
    ["open", micros("open")],
    ["register", micros("register")],
    ["connect", micros("connect")],
    ["prepare (plan)", micros("prepare")],
    ["memory, source", ({ residentBytes }) => residentBytes && sizeText(residentBytes.source)],
    ["memory, target", ({ residentBytes }) => residentBytes && sizeText(residentBytes.target)],
    ["hash of what moved", ({ hash }) => hash && html`<code>${hash}</code>`],
  ]
  return table("Setting up, and memory that is kept (pools included)", columns, results)
}

/** What changed since another run, and whether that is more than noise. */
export function comparisonTable(comparison: NonNullable<LoadDocument["comparison"]>): Markup {
  const styles = { same: "plain", faster: "good", slower: "bad", "too noisy": "warn" } as const
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Comparison"><table>
<thead><tr><th scope="col">Engine</th><th scope="col" class="number">before</th><th scope="col" class="number">now</th><th scope="col">verdict</th><th scope="col">why</th></tr></thead>
<tbody>${comparison.map(
    ({
      engine,
      before,
      now,
      verdict,
      why,
    }) => html`<tr><th scope="row" class="name">${engine}</th><td class="number">${digits(before)}</td><td class="number">${digits(now)}</td><td><span class="tag ${styles[verdict]}">${verdict}</span></td><td class="why">${why}</td></tr>
`,
  )}</tbody></table></div>
`
}

function table(caption: string, columns: readonly Column[], results: readonly LoadResult[]): Markup {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table><caption>${caption}</caption>
<thead><tr><th scope="col">Engine</th><th scope="col">bytes</th>${columns.map(([title]) => html`<th scope="col" class="number">${title}</th>`)}</tr></thead>
<tbody>${results.map(
    (
      result,
    ) => html`<tr><th scope="row" class="name">${result.engine}</th><td><span class="tag ${result.verdict === "identical" ? "good" : "bad"}">${outcomeOf(result)}</span></td>${columns.map(
      ([, say]) => html`<td class="number">${result.verdict === "identical" && say(result)}</td>`,
    )}</tr>
`,
  )}</tbody></table></div>
`
}
