import { html, type Markup } from "../../page/html.ts"
import { countText } from "../../terminal/units.ts"
import type { BlockMap, WrongPlace } from "../verify-document.ts"
import { type BlockKind, blockKind, blockKinds } from "./block-kinds.ts"

const columns = 16
const cell = 20
const left = 34
const top = 14
/** Rows of one picture: what comes after is told, not drawn. */
const rowsMax = 48
/** Pictures of one finding. */
const mapsMax = 8

/** Pictures of the layers of one finding, with the first wrong block ringed, and a legend of what is in them. */
export function blockMaps(maps: readonly BlockMap[], first: WrongPlace | undefined): Markup {
  const shown = maps.slice(0, mapsMax)
  const letters = new Set(
    shown.flatMap(({ blocks }) => [...blocks].map((letter) => blockKind(letter).letter)),
  )
  const rest = maps.length - shown.length
  return html`<div class="maps">
${shown.map((map) => picture(map, first))}</div>
${rest > 0 && html`<p class="small soft">and ${countText(rest, "more map")}, in the JSON document</p>\n`}${legend(blockKinds.filter(({ letter }) => letters.has(letter)))}`
}

/** A line of a picture: blocks from `start`, or so many rows of nothing. */
type Row =
  | { readonly start: number; readonly letters: readonly string[] }
  | { readonly start: number; readonly skipped: number }

function picture(map: BlockMap, first: WrongPlace | undefined): Markup {
  const { agent, layer, blocks } = map
  const rows = rowsOf([...blocks])
  const drawn = rows.slice(0, rowsMax)
  const ringed = first?.agent === agent && first.layer === layer ? first.block : undefined
  const width = left + columns * cell
  const height = top + drawn.length * cell
  const cut = drawn.length < rows.length
  return html`<figure>
<figcaption>${agent}, layer ${layer}: ${wordsOf(blocks)}</figcaption>
<svg class="map" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"><title>Blocks of layer ${layer} at ${agent}: ${wordsOf(blocks)}</title>${[0, 4, 8, 12].map((x) => html`<text class="row mid" x="${left + x * cell + cell / 2}" y="9">+${x}</text>`)}${blockKinds.map(({ style }) => squares(drawn, style))}${drawn.map((row, i) => rowOf(row, top + i * cell, ringed))}</svg>
${cut && html`<div class="small soft">drawn up to block ${rows[rowsMax]!.start - 1} of ${blocks.length}</div>\n`}</figure>
`
}

/** Squares of one kind are one path, and letters of one row one text: a page may have thousands of blocks. */
function squares(rows: readonly Row[], style: string): Markup | undefined {
  const places = rows.flatMap((row, y) =>
    "skipped" in row
      ? []
      : row.letters.flatMap((letter, x) => (blockKind(letter).style === style ? [[x, y] as const] : [])),
  )
  if (places.length === 0) return undefined
  const path = places.map(([x, y]) => `M${left + x * cell + 2} ${top + y * cell + 2}h16v16h-16z`).join("")
  return html`<path class="${style}" d="${path}"/>`
}

function rowOf(row: Row, y: number, ringed: number | undefined): Markup {
  const label = html`<text class="row" x="${left - 6}" y="${y + 14}">${row.start}</text>`
  if ("skipped" in row) {
    return html`${label}<text class="gap" x="${left}" y="${y + 14}">${countText(row.skipped, "row")}: nothing expected, nothing came</text>`
  }
  const letters = row.letters.flatMap((letter, i) => {
    const { style } = blockKind(letter)
    return style === "nothing"
      ? []
      : [html`<text class="on-${style}" x="${left + i * cell + cell / 2}" y="${y + 14}">${letter}</text>`]
  })
  const at = ringed === undefined ? -1 : ringed - row.start
  const ring =
    at >= 0 &&
    at < row.letters.length &&
    html`<rect class="first" x="${left + at * cell}" y="${y}" width="${cell}" height="${cell}" rx="4"><title>the first wrong place</title></rect>`
  return html`${label}${letters}${ring}`
}

/** Rows of `columns` blocks; two or more rows of nothing become one line. */
function rowsOf(letters: readonly string[]): Row[] {
  const rows: Row[] = []
  let empty: Row[] = []
  const flush = (): void => {
    rows.push(...(empty.length > 1 ? [{ start: empty[0]!.start, skipped: empty.length }] : empty))
    empty = []
  }
  for (let start = 0; start < letters.length; start += columns) {
    const row = { start, letters: letters.slice(start, start + columns) }
    if (row.letters.every((letter) => letter === ".")) {
      empty.push(row)
      continue
    }
    flush()
    rows.push(row)
  }
  flush()
  return rows
}

/** "12 region's base, 3 right", the most frequent first; nothing counts last. */
function wordsOf(blocks: string): string {
  const counts = new Map<BlockKind, number>()
  for (const letter of blocks) {
    const kind = blockKind(letter)
    if (kind.style !== "nothing") counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  const parts = [...counts].sort(([, a], [, b]) => b - a)
  if (parts.length === 0) return "nothing expected, nothing came"
  return parts.map(([{ name }, count]) => `${count} ${name}`).join(", ")
}

/** Squares with their letters, so that nobody needs to see the colours. */
function legend(kinds: readonly BlockKind[]): Markup {
  return html`<ul class="legend">${kinds.map(
    ({ style, letter, text }) =>
      html`<li><svg class="map" width="18" height="18" viewBox="0 0 18 18" aria-hidden="true"><path class="${style}" d="M1 1h16v16h-16z"/>${style !== "nothing" && html`<text class="on-${style}" x="9" y="13">${letter}</text>`}</svg><span><b class="unseen">${letter}: </b>${text}</span></li>`,
  )}</ul>
`
}
