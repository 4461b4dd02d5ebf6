import { html, type Markup } from "../../page/html.ts"
import { sizeText } from "../../terminal/units.ts"
import { engineName } from "./frame.ts"
import type { Series } from "./load-series.ts"

/** Bytes of each rail, as the engine's own receipt has them, beside each other. */
export function railBars(series: readonly Series[]): Markup | undefined {
  const told = series.filter(({ result }) => (result.receipt?.rails.length ?? 0) > 0)
  if (told.length === 0) return undefined
  const rows = told.map(({ result }) => {
    const { rails, path, bytes } = result.receipt!
    const all = Math.max(
      1,
      rails.reduce((sum, rail) => sum + rail.bytes, 0),
    )
    let x = 0
    const parts = rails.map((rail, i) => {
      const width = (rail.bytes / all) * 100
      const part = html`<rect class="e${i % 8} fill" x="${x.toFixed(2)}%" y="4" width="${width.toFixed(2)}%" height="18"><title>${rail.rail}: ${sizeText(rail.bytes)}</title></rect>${x > 0 && html`<line class="between" x1="${x.toFixed(2)}%" x2="${x.toFixed(2)}%" y1="4" y2="22"/>`}`
      x += width
      return part
    })
    const words = rails.map(
      (rail) => `rail ${rail.rail}: ${sizeText(rail.bytes)}, ${((rail.bytes / all) * 100).toFixed(1)} %`,
    )
    return html`<div class="who">${engineName(result.engine)}</div><svg class="draw" height="26" role="img"><title>${words.join("; ")}</title>${parts}</svg><div class="value">${sizeText(bytes)} <small>${path}</small></div>
<div class="under">${words.join(" · ")}</div>
`
  })
  return html`<div class="bars rails">
${rows}</div>
`
}
