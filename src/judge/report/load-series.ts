import { html, type Markup } from "../../page/html.ts"
import type { LoadDocument, LoadResult } from "../load-document.ts"
import { engineName } from "./frame.ts"

/** An engine as it looks in every picture: a colour and a shape, so that nobody needs to see the colour. */
export interface Series {
  readonly result: LoadResult
  /** Class of its colour. */
  readonly colour: string
  /** Path of its mark, around 0 0. */
  readonly shape: string
}

const shapes = [
  "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
  "M-4 -4h8v8h-8z",
  "M0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
  "M0 -5l5 9h-10z",
  "M0 5l5 -9h-10z",
  "M-5 -1.6h3.4v-3.4h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4z",
  "M-5 -2h10v4h-10z",
  "M-2 -5h4v10h-4z",
] as const
const ceilingShape = "M-4.5 -3l1.5 -1.5l3 3l3 -3l1.5 1.5l-3 3l3 3l-1.5 1.5l-3 -3l-3 3l-1.5 -1.5l3 -3z"

/** Every result with its look: the ceilings are grey, and the others are counted. */
export function seriesOf({ results }: LoadDocument): Series[] {
  let count = 0
  return results.map((result) => {
    if (result.role === "ceiling") return { result, colour: "ceiling", shape: ceilingShape }
    const i = count++ % shapes.length
    return { result, colour: `e${i}`, shape: shapes[i]! }
  })
}

/** A mark of a series; `x` is a percentage of the picture's width, `y` a number of pixels. */
export function markAt(
  { colour, shape }: Pick<Series, "colour" | "shape">,
  x: number,
  y: number,
  title: string,
): Markup {
  return html`<svg x="${x.toFixed(2)}%" y="${y.toFixed(1)}" width="1" height="1" overflow="visible"><path class="${colour} fill" d="${shape}"><title>${title}</title></path></svg>`
}

/** Which mark is whose. */
export function seriesLegend(series: readonly Series[]): Markup {
  return html`<ul class="legend">${series.map(
    ({ result, colour, shape }) =>
      html`<li><svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true"><path class="${colour} fill" d="${shape}"/></svg><span class="engine">${engineName(result.engine)}</span></li>`,
  )}</ul>
`
}
