import { html, type Markup } from "../../page/html.ts"
import type { PairResult } from "../load-document.ts"
import { fixed, gigabits } from "./figures.ts"
import { engineName } from "./frame.ts"

/** Below this share of the middle pair, a pair is called slow. */
const slowBelow = 0.75
const steps = 6

/** Every source against every target, one table for each engine: the darker the faster, a slow pair framed. */
export function pairMatrix(pairs: readonly PairResult[]): Markup {
  const engines = [...new Set(pairs.map(({ engine }) => engine))]
  return html`${engines.map((engine) => {
    const own = pairs.filter((pair) => pair.engine === engine)
    const rates = own.flatMap(({ bytesPerSecond }) => bytesPerSecond ?? []).sort((a, b) => a - b)
    const middle = rates[Math.floor(rates.length / 2)] ?? 0
    const most = rates.at(-1) ?? 1
    const [from, to] = [[...new Set(own.map((pair) => pair.from))], [...new Set(own.map((pair) => pair.to))]]
    return html`<h3 class="mono">${engineName(engine)}</h3>
<p class="small soft">GB/s from the row to the column. Framed: less than ${slowBelow * 100} % of the middle pair.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Pairs of ${engine}"><table class="heat">
<thead><tr><th scope="col">from \\ to</th>${to.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${from.map(
      (name) => html`<tr><th scope="row">${name}</th>${to.map((other) =>
        cellOf(
          own.find((pair) => pair.from === name && pair.to === other),
          middle,
          most,
        ),
      )}</tr>
`,
    )}</tbody></table></div>
`
  })}`
}

function cellOf(pair: PairResult | undefined, middle: number, most: number): Markup {
  if (pair === undefined) return html`<td class="soft">–</td>`
  const { bytesPerSecond: rate, verdict, why } = pair
  if (rate === undefined) {
    return html`<td class="wrong" title="${why ?? ""}">✕<small>${verdict === "different" ? "wrong bytes" : "failed"}</small></td>`
  }
  const shade = Math.min(steps - 1, Math.floor((rate / most) * steps))
  const slow = rate < slowBelow * middle
  return html`<td class="h${shade}${slow && " slow"}">${fixed(rate / 1e9)}<small>${slow ? "slow" : gigabits(rate)}</small></td>`
}
