import { palette, sans } from "../../page/palette.ts"

/** The style of both reports: for a screen of any width, light and dark, and for paper. */
export const reportStyle = `${palette}
:root {
  --e0: #1565b8; --e1: #c2541a; --e2: #0b7f70; --e3: #7a4cc0; --e4: #b8387a; --e5: #6f6f10; --e6: #2f6f8f; --e7: #855538;
  --zero: #9aa7b4; --poison: #d9c7a8; --base: #b3261e; --other: #c2541a; --stale: #7a4cc0; --odd: #b8387a; --stray: #17212b;
  --right: #bfe3d0; --on-right: #0b4a31; --on-mark: #ffffff; --on-zero: #17212b; --heat: 21 101 184;
}
@media (prefers-color-scheme: dark) {
  :root {
    --e0: #6cb2f7; --e1: #f39a63; --e2: #46c7b2; --e3: #b798f0; --e4: #f08dbb; --e5: #c9c552; --e6: #8bc4df; --e7: #cfa283;
    --zero: #6b7a89; --poison: #6e5f42; --base: #ff8f85; --other: #f39a63; --stale: #b798f0; --odd: #f08dbb; --stray: #e6ecf2;
    --right: #1d4a36; --on-right: #a6e8c9; --on-mark: #0e141a; --on-zero: #0e141a; --heat: 108 178 247;
  }
}
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 ${sans}; }
h1, h2, h3, h4 { margin: 0; line-height: 1.25; text-wrap: balance; }
h2 { font-size: 1.12rem; }
h3 { font-size: 1rem; }
h4 { font-size: .9rem; }
h3.mono { margin-top: 1.2rem; }
h2 + h3.mono { margin-top: .6rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--accent); }
code, .mono { font-family: var(--mono); font-size: .88em; overflow-wrap: anywhere; }
pre { font: .8rem/1.45 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0; padding: .7rem .85rem; background: var(--ground); border: 1px solid var(--line); border-radius: 8px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
[hidden] { display: none !important; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.soft { color: var(--soft); }
.small { font-size: .85rem; }

main { max-width: 74rem; margin: 0 auto; padding: 0 clamp(.8rem, 3vw, 2rem) 3rem; display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: 1.05rem clamp(.85rem, 2vw, 1.35rem) 1.2rem; min-width: 0; }
.panel > h2 + p { margin-top: .25rem; }
.panel > p:last-child { margin-bottom: 0; }
.top { max-width: 74rem; margin: 0 auto; padding: 1rem clamp(.8rem, 3vw, 2rem) .9rem; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; align-items: center; justify-content: space-between; }
.brand { display: flex; align-items: center; gap: .6rem; font-weight: 700; font-size: 1.05rem; }
.brand svg { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.brand span { color: var(--soft); font-weight: 400; }
.top .when { color: var(--soft); font-size: .85rem; }

.verdict { border-radius: 12px; padding: 1.1rem clamp(.9rem, 2vw, 1.4rem); border: 1px solid; display: grid; gap: .35rem; }
.verdict h1 { font-size: clamp(1.25rem, 3.2vw, 1.7rem); letter-spacing: -.01em; display: flex; gap: .55em; align-items: baseline; overflow-wrap: anywhere; }
.verdict p { margin: 0; color: var(--ink); }
.verdict.good { background: var(--good-tint); border-color: color-mix(in srgb, var(--good) 35%, transparent); }
.verdict.good h1 { color: var(--good); }
.verdict.bad { background: var(--bad-tint); border-color: color-mix(in srgb, var(--bad) 35%, transparent); }
.verdict.bad h1 { color: var(--bad); }
.verdict.open { background: var(--panel); border-color: var(--zero); }
.jump { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .87rem; padding: 0; margin: .3rem 0 0; list-style: none; }

.cards { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 14rem), 1fr)); align-items: start; margin-top: .8rem; }
.card { border: 1px solid var(--line); border-radius: 10px; padding: .75rem .9rem; min-width: 0; }
.card.bad { border-color: color-mix(in srgb, var(--bad) 45%, transparent); }
.card h3 { font-family: var(--mono); font-size: .95rem; overflow-wrap: anywhere; display: flex; justify-content: space-between; gap: .6rem; align-items: baseline; }
.card p { margin: .25rem 0 0; font-size: .87rem; overflow-wrap: anywhere; }
.share { display: block; width: 100%; height: .55rem; border-radius: 99px; overflow: hidden; margin: .5rem 0 .3rem; background: var(--line); }
.share .passed { fill: var(--good); } .share .failed { fill: var(--bad); } .share .unsupported { fill: var(--zero); }
.tag { display: inline-block; font: 600 .76rem/1.5 ${sans}; border-radius: 99px; padding: 0 .6em; white-space: nowrap; border: 1px solid transparent; }
.tag.passed, .tag.good { background: var(--good-tint); color: var(--good); }
.tag.failed, .tag.bad { background: var(--bad-tint); color: var(--bad); }
.tag.unsupported, .tag.plain { background: var(--ground); color: var(--soft); border-color: var(--line); }
.tag.warn { color: var(--warn); border-color: currentColor; }
.tag.wraps { white-space: normal; border-radius: 8px; }

.scroll { overflow-x: auto; margin: .7rem 0 0; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; width: 100%; }
caption { text-align: left; color: var(--soft); font-size: .85rem; padding-bottom: .3rem; }
th { text-align: left; font-weight: 600; padding: .3rem .8rem .3rem 0; vertical-align: bottom; }
td { padding: .3rem .8rem .3rem 0; vertical-align: top; }
tbody th { vertical-align: top; }
th.name { white-space: nowrap; }
td.why { min-width: 14rem; }
thead th { color: var(--soft); font-weight: 500; border-bottom: 1px solid var(--line); }
tbody tr + tr > *, tbody + tbody > tr:first-child > * { border-top: 1px solid var(--line); }
.number { text-align: right; white-space: nowrap; }
th.name { font-family: var(--mono); font-size: .84rem; }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .12rem 1rem; margin: .6rem 0 0; font-size: .87rem; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }

.tools { display: flex; flex-wrap: wrap; gap: .4rem; margin: .7rem 0 0; }
.tools button { font: inherit; font-size: .85rem; cursor: pointer; color: var(--ink); background: var(--panel); border: 1px solid var(--line); border-radius: 99px; padding: .2rem .85rem; min-height: 2rem; }
.tools button[aria-pressed="true"] { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }

.matrix th.engine { vertical-align: bottom; text-align: center; font-family: var(--mono); font-size: .78rem; font-weight: 600; color: var(--ink); padding: .3rem .4rem; min-width: 5.6rem; max-width: 9rem; overflow-wrap: break-word; }
.matrix td { text-align: center; padding: .22rem .4rem; vertical-align: middle; }
.matrix th[scope="row"] { font-weight: 400; vertical-align: middle; position: sticky; left: 0; background: var(--panel); min-width: 11rem; padding-right: 1rem; }
.matrix th[scope="row"] { color: var(--soft); font-size: .82rem; line-height: 1.35; }
.matrix th[scope="row"] code { display: block; color: var(--ink); font-size: .84rem; }
.matrix .suite th { background: var(--ground); font-weight: 650; padding: .3rem .6rem; border-radius: 6px; text-align: left; }
.matrix .suite th span { position: sticky; left: .6rem; }
.cell { display: inline-flex; align-items: center; justify-content: center; gap: .35em; min-width: 4.9rem; white-space: nowrap; padding: .12rem .5rem; border-radius: 6px; font-size: .8rem; font-weight: 600; text-decoration: none; }
.cell.passed { color: var(--good); background: var(--good-tint); }
.cell.failed { color: var(--on-mark); background: var(--bad); }
a.cell.failed:hover { filter: brightness(1.1); }
.cell.unsupported { color: var(--soft); font-weight: 400; border: 1px dashed var(--line); }
.cell.absent { color: var(--soft); font-weight: 400; }

.finding { border: 1px solid var(--line); border-left: 4px solid var(--bad); border-radius: 10px; margin: .7rem 0 0; padding: 0 1rem; }
.finding > summary { padding: .65rem 0; cursor: pointer; list-style: none; display: grid; gap: .1rem .8rem; grid-template-columns: minmax(0, 1fr) auto; align-items: baseline; }
.finding > summary::-webkit-details-marker { display: none; }
.finding > summary h4 { overflow-wrap: anywhere; }
.finding > summary h4::before { content: "▸ "; color: var(--soft); }
.finding[open] > summary h4::before { content: "▾ "; }
.finding > summary .cause { grid-column: 1 / -1; color: var(--soft); font-size: .87rem; }
.finding .body { padding: 0 0 1rem; }
.finding .body > p:first-child { margin-top: 0; }
.places { width: auto; margin: .5rem 0 0; }
.folded > summary { cursor: pointer; color: var(--soft); font-size: .87rem; padding: .3rem 0; width: fit-content; }
.folded pre { max-height: 26rem; overflow: auto; }

.maps { display: flex; flex-wrap: wrap; gap: 1rem 2rem; margin: .8rem 0 .3rem; }
.maps figure { margin: 0; max-width: 100%; }
.maps figcaption { font-size: .85rem; color: var(--soft); margin-bottom: .25rem; }
.map { display: block; max-width: 100%; height: auto; }
.map text { font: 600 11px var(--mono); text-anchor: middle; fill: var(--on-mark); }
.map .row { text-anchor: end; font-weight: 400; font-size: 9.5px; fill: var(--soft); }
.map .row.mid { text-anchor: middle; }
.map .gap { text-anchor: start; font: italic 400 10.5px ${sans}; fill: var(--soft); }
.map path { fill: var(--k); stroke: var(--k); stroke-width: 2; stroke-linejoin: round; }
.map .nothing { --k: var(--ground); } .map .right { --k: var(--right); } .map .on-right { fill: var(--on-right); }
.map .zeros { --k: var(--zero); } .map .poison { --k: var(--poison); } .map .on-zeros { fill: var(--on-zero); } .map .on-poison { fill: var(--ink); }
.map .base { --k: var(--base); } .map .other { --k: var(--other); } .map .stale { --k: var(--stale); }
.map .odd { --k: var(--odd); } .map .stray { --k: var(--stray); }
.map .first { fill: none; stroke: var(--ink); stroke-width: 2.5; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; list-style: none; padding: 0; margin: .5rem 0 0; font-size: .84rem; color: var(--soft); align-items: center; }
.legend li { display: inline-flex; gap: .45em; align-items: center; }
.legend svg { flex: none; }
.legend .engine { font-family: var(--mono); font-size: .8rem; color: var(--ink); overflow-wrap: anywhere; }

.e0 { --c: var(--e0); } .e1 { --c: var(--e1); } .e2 { --c: var(--e2); } .e3 { --c: var(--e3); }
.e4 { --c: var(--e4); } .e5 { --c: var(--e5); } .e6 { --c: var(--e6); } .e7 { --c: var(--e7); } .ceiling { --c: var(--zero); }
.fill { fill: var(--c); } .stroke { stroke: var(--c); stroke-width: 2; fill: none; }
.bars { display: grid; grid-template-columns: minmax(7rem, max-content) minmax(0, 1fr) max-content; gap: .35rem 1rem; align-items: center; margin: .8rem 0 0; font-size: .87rem; }
.bars .who { font-family: var(--mono); font-size: .84rem; overflow-wrap: anywhere; }
.bars .value { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; font-weight: 600; }
.bars .value small { font-weight: 400; color: var(--soft); display: block; font-size: .8rem; line-height: 1.25; }
.bars .wide { grid-column: 2 / -1; color: var(--bad); overflow-wrap: anywhere; }
.bars svg, .plot { display: block; width: 100%; overflow: visible; }
.bars text, .plot text { font: 11px ${sans}; fill: var(--soft); }
.bars .under { grid-column: 2 / -1; margin: -.2rem 0 .4rem; color: var(--soft); font-size: .82rem; }
.between { stroke: var(--panel); stroke-width: 2; }
.grid { stroke: var(--line); stroke-width: 1; }
.mid { text-anchor: middle; } .end { text-anchor: end; }
.bound { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 4 3; }
.whisker { stroke: var(--ink); stroke-width: 1.5; }
.halo { paint-order: stroke; stroke: var(--panel); stroke-width: 4px; stroke-linejoin: round; }
.plot text.strong { fill: var(--ink); font-weight: 600; }
.plot .thin { stroke-width: 1; stroke-dasharray: 2 3; opacity: .7; }
figure.chart { margin: .6rem 0 0; }
.heat td, .heat thead th { text-align: center; }
.heat { width: auto; border-spacing: 2px; border-collapse: separate; }
.heat td { border-radius: 6px; padding: .4rem .7rem; border: 0 !important; font-weight: 600; vertical-align: middle; }
.heat th { padding: .3rem .6rem; border: 0 !important; font-family: var(--mono); font-size: .8rem; vertical-align: middle; }
.heat td small { display: block; font-weight: 400; font-size: .76rem; }
.heat .h0 { background: rgb(var(--heat) / .06); } .heat .h1 { background: rgb(var(--heat) / .13); } .heat .h2 { background: rgb(var(--heat) / .2); }
.heat .h3 { background: rgb(var(--heat) / .27); } .heat .h4 { background: rgb(var(--heat) / .34); } .heat .h5 { background: rgb(var(--heat) / .42); }
.heat .slow { outline: 2px solid var(--warn); outline-offset: -2px; }
.heat .wrong { background: var(--bad-tint); color: var(--bad); }
.notes { margin: .4rem 0 0; padding-left: 1.2rem; }
.notes li { margin: .2rem 0; max-width: 56rem; overflow-wrap: anywhere; }

@media (max-width: 40rem) {
  .bars { grid-template-columns: minmax(0, 1fr) max-content; grid-auto-flow: row dense; gap: .1rem .8rem; align-items: baseline; }
  .bars .who { grid-column: 1; } .bars .whole { grid-column: 1 / -1; } .bars .value { grid-column: 2; }
  .bars .value small { display: inline; margin-left: .5em; }
  .bars .draw { grid-column: 1 / -1; margin: .3rem 0 .65rem; }
  .bars .under { grid-column: 1 / -1; margin: -.4rem 0 .6rem; }
  .bars .wide { grid-column: 1 / -1; margin-bottom: .5rem; }
  .finding > summary { grid-template-columns: minmax(0, 1fr); } .finding > summary .tag { justify-self: start; }
  .facts { grid-template-columns: minmax(0, 1fr); } .facts dd { margin-bottom: .35rem; }
  .matrix th[scope="row"] { min-width: 8.5rem; max-width: 10.5rem; padding-right: .5rem; overflow-wrap: anywhere; }
  .matrix th.engine { min-width: 4.6rem; } .cell { min-width: 4.2rem; }
}
@media print {
  :root {
    color-scheme: light;
    --ground: #fff; --panel: #fff; --ink: #17212b; --soft: #47535f; --line: #c8d0d8;
    --accent: #1565b8; --tint: #eaf2fb; --good: #11724a; --good-tint: #e7f5ee; --bad: #b3261e; --bad-tint: #fcebea; --warn: #8a5a00;
    --e0: #1565b8; --e1: #c2541a; --e2: #0b7f70; --e3: #7a4cc0; --e4: #b8387a; --e5: #6f6f10; --e6: #2f6f8f; --e7: #855538;
    --zero: #9aa7b4; --poison: #d9c7a8; --base: #b3261e; --other: #c2541a; --stale: #7a4cc0; --odd: #b8387a; --stray: #17212b;
    --right: #bfe3d0; --on-right: #0b4a31; --on-mark: #fff; --on-zero: #17212b; --heat: 21 101 184;
  }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  html { font-size: 12px; }
  body { font-size: 1rem; }
  .card, figure, tr, .heat, .bars, .places, pre, .facts { break-inside: avoid; }
  h2, h3, h4, summary, caption { break-after: avoid; }
  main { padding: 0; gap: 1.4rem; }
  .panel { border: 0; border-radius: 0; padding: 0; }
  table { font-size: .78rem; }
  th, td { padding-right: .45rem; }
  .tools, .jump { display: none !important; }
  .scroll { overflow: visible; max-height: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  a { color: inherit; text-decoration: none; }
}
`
