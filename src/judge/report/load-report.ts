import { html, type Markup, type Part } from "../../page/html.ts"
import { countText, sizeText } from "../../terminal/units.ts"
import { type LoadDocument, type LoadResult, type LoadShape, outcomeOf } from "../load-document.ts"
import { baseOf } from "./figures.ts"
import { engineName, facts, panel, reportFrame, whenText } from "./frame.ts"
import { rateBars, ratioBars } from "./load-bars.ts"
import { latencyCurves, roundDots } from "./load-plots.ts"
import { railBars } from "./load-rails.ts"
import { seriesOf } from "./load-series.ts"
import { comparisonTable, costsTable, figuresTable } from "./load-table.ts"
import { machineFactsList } from "./machine-facts.ts"
import { pairMatrix } from "./pair-matrix.ts"
import { withoutUnproven } from "./proven.ts"

/** The record of one `kvferry bench` of a load as a page: one file, readable without scripts and without a network. */
export function loadReportHtml(record: LoadDocument): string {
  const document = withoutUnproven(record)
  const { results, matrix, comparison, notes, shape, rounds } = document
  const series = seriesOf(document)
  const first = baseOf(results)?.engine
  const verdictText = {
    identical: "identical",
    different: "bytes differ",
    failed: results.some((result) => outcomeOf(result) === "failed") ? "failed" : "not every engine ran",
  }[document.verdict]
  const logging = results.filter(({ loggingOn }) => loggingOn).map(({ engine }) => engine)
  const told = [
    ...notes,
    ...(logging.length === 0
      ? []
      : [`Logging was on for ${logging.join(", ")}: its cost is in the figures.`]),
  ]
  const wrong = results.filter((result) => result.verdict !== "identical")
  return reportFrame({
    command: "bench",
    title: `kvferry bench: ${verdictText}`,
    when: whenText(document.startedAt, document.tookMillis, document.software),
    body: [
      verdict(document),
      wrong.length > 0 && panel("wrong", "What went wrong", wrong.map(wrongFacts)),
      told.length > 0 &&
        panel(
          "notes",
          "Read this first",
          html`<ul class="notes">${told.map((note) => html`<li>${note}</li>`)}</ul>`,
        ),
      optional(
        "ratios",
        `Speed beside ${first ?? "the first engine"}`,
        ratioHint(rounds),
        ratioBars(series, first),
      ),
      comparison !== undefined &&
        comparison.length > 0 &&
        panel(
          "comparison",
          "Beside the earlier run",
          html`<p class="small soft">As shares of the ceiling, each paired round by round in its own run.</p>\n`,
          comparisonTable(comparison),
        ),
      optional("rates", "Rate", undefined, rateBars(series)),
      optional(
        "latency",
        "Time of one transfer",
        "From the usual to the rare. The axis is logarithmic.",
        latencyCurves(series),
      ),
      optional(
        "rounds",
        "Round by round",
        "Every engine once a round, in turn: what the machine did to one, it did to its neighbours.",
        roundDots(series, rounds),
      ),
      optional("rails", "Bytes of each rail", "By the engines' own receipts.", railBars(series)),
      matrix !== undefined && matrix.length > 0 && panel("pairs", "Every pair", pairMatrix(matrix)),
      panel("figures", "All figures", figuresTable(results), costsTable(results)),
      panel("asked", "What was asked for", shapeFacts(shape)),
      panel(
        "machine",
        "Engines and machine",
        engineFacts(results),
        machineFactsList(document.machine, document.evidence),
        html`<p class="small soft">Load of the minute before: ${document.loadAverage1MinuteBefore.toFixed(2)}.</p>`,
      ),
    ],
  })
}

function wrongFacts(result: LoadResult): Markup {
  const { engine, verdict, why } = result
  const tag = verdict === "different" ? "wrong bytes" : outcomeOf(result)
  return html`<h3 class="mono">${engineName(engine)} <span class="tag bad">${tag}</span></h3>
<p>${why ?? "The engine gave no reason."}</p>
`
}

const ratioHint = (rounds: number): string =>
  `How many times as fast, paired over ${countText(rounds, "round")}, with the 95 % interval. Right of the dashed line is faster.`

const optional = (id: string, title: string, hint: string | undefined, content: Markup | undefined): Part =>
  content !== undefined &&
  panel(id, title, hint !== undefined && html`<p class="small soft">${hint}</p>\n`, content)

function verdict({ verdict, results, shape, rounds, interrupted }: LoadDocument): Markup {
  const good = verdict === "identical"
  const named = (wanted: string): string =>
    results
      .filter((result) => outcomeOf(result) === wanted)
      .map(({ engine }) => engine)
      .join(", ")
  const unfinished = [
    ["Not finished", named("failed")],
    ["Did not run", named("did not run")],
  ].flatMap(([what, who]) => (who === "" ? [] : [`${what}: ${who}`]))
  const others = verdict === "different" && unfinished.map((each) => html` ${each}.`)
  const sentence = good
    ? "Every engine moved the right bytes"
    : verdict === "different"
      ? `Wrong bytes: ${named("different")}`
      : unfinished.join("; ")
  return html`<section class="verdict ${good ? "good" : "bad"}" aria-label="Verdict">
<h1><span aria-hidden="true">${good ? "✓" : "✕"}</span><span>${sentence}</span></h1>
<p>${sizeText(shape.bytes)} in each of ${countText(rounds, "round")}: ${shapeText(shape)}. ${good ? "Checked before it was measured, and in the very run that was timed." : "Only bytes that were proven have a rate here."}${others}${interrupted && html` <b>Interrupted: this is a part of the run.</b>`}</p>
</section>
`
}

const shapeText = ({ op, blocks, layers, blockBytes, randomBlocks }: LoadShape): string =>
  `${op}, ${countText(blocks, randomBlocks ? "random block" : "block")} of ${sizeText(blockBytes)} in each of ${countText(layers, "layer")}`

function shapeFacts(shape: LoadShape): Markup {
  const { prefillEngines, decodeEngines, prefillTp, decodeTp, model } = shape
  return facts([
    ["Transfer", shapeText(shape)],
    ...(model === undefined ? [] : [["Model", model] as const]),
    [
      "Pool",
      `${countText(shape.numBlocks, "block")} in each layer, ${sizeText(shape.numBlocks * shape.blockBytes * shape.layers)} a side`,
    ],
    ["Bytes of one round", `${shape.bytes.toLocaleString("en")} (${sizeText(shape.bytes)})`],
    [
      "Engines",
      `${prefillEngines} prefill, ${decodeEngines} decode; tensor parallel ${prefillTp} to ${decodeTp}`,
    ],
    ["Threads, batch", `${shape.threads}, ${shape.batch}`],
    ["Strategy, integrity", `${shape.strategy}, ${shape.integrity}`],
    ["Seed", String(shape.seed)],
  ])
}

function engineFacts(results: readonly LoadResult[]): Markup {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Engines"><table><caption>Engines</caption>
<thead><tr><th scope="col">Name</th><th scope="col">version</th><th scope="col">what it is</th></tr></thead>
<tbody>${results.map(({ engine, version, about }) => html`<tr><th scope="row" class="name">${engine}</th><td>${version}</td><td>${about}</td></tr>\n`)}</tbody></table></div>
`
}
