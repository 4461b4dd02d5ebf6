import { palette, sans } from "../../../page/palette.ts"

/** The page's style. */
export const pageStyle = `${palette}html { height: 100%; }
body {
  margin: 0; min-height: 100%; background: var(--ground); color: var(--ink);
  font: 15px/1.5 ${sans};
}
h1, h2 { margin: 0; font-size: 1rem; font-weight: 650; letter-spacing: .01em; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 6px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
[hidden] { display: none !important; }

.top {
  display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center; justify-content: space-between;
  padding: .8rem clamp(1rem, 3vw, 2rem); background: var(--panel); border-bottom: 1px solid var(--line);
}
.brand { display: flex; align-items: center; gap: .6rem; }
.brand svg { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.name { font-weight: 700; font-size: 1.1rem; letter-spacing: -.01em; }
.model { color: var(--soft); font: .85rem var(--mono); padding: .1rem .5rem; border: 1px solid var(--line); border-radius: 99px; overflow-wrap: anywhere; }
.workers { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; list-style: none; margin: 0; padding: 0; font-size: .87rem; color: var(--soft); }
.workers li::before { content: ""; display: inline-block; width: .55em; height: .55em; margin-right: .45em; border-radius: 50%; background: var(--good); }
.workers li.down { color: var(--bad); }
.workers li.down::before { background: var(--bad); }

main {
  display: grid; gap: 1rem; max-width: 90rem; margin: 0 auto; padding: 1rem clamp(1rem, 3vw, 2rem) 2rem;
  grid-template-columns: minmax(0, 1fr) minmax(0, 1.1fr);
}
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: 1rem 1.1rem; min-width: 0; }
.head { display: flex; align-items: baseline; justify-content: space-between; gap: 1rem; margin-bottom: .7rem; min-height: 1.6rem; }
.hint { color: var(--soft); margin: 0; max-width: 34rem; }
.when { color: var(--soft); font-size: .85rem; }

.chat { display: flex; flex-direction: column; min-height: 31rem; }
.transcript { flex: 1 1 20rem; overflow-y: auto; height: 20rem; margin: 0 -.3rem .8rem; padding: .1rem .3rem; }
.turn { margin: 0 0 .9rem; }
.turn .who { font-size: .8rem; font-weight: 600; color: var(--soft); }
.turn .text { white-space: pre-wrap; overflow-wrap: anywhere; }
.turn.user .text { background: var(--tint); border-radius: 10px; padding: .45rem .7rem; width: fit-content; max-width: 100%; }
.turn.busy .text::after { content: "▍"; color: var(--accent); animation: blink 1s steps(2) infinite; }
.turn .facts { color: var(--soft); font-size: .8rem; margin-top: .15rem; }
.turn .failure { color: var(--bad); background: var(--bad-tint); border-radius: 8px; padding: .45rem .7rem; overflow-wrap: anywhere; }
.turn .failure b { font: 600 .85rem var(--mono); display: block; }
@keyframes blink { 50% { opacity: 0; } }
form { border-top: 1px solid var(--line); padding-top: .8rem; }
textarea, input { font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: 8px; }
textarea { width: 100%; padding: .55rem .7rem; resize: vertical; min-height: 3.4rem; max-height: 14rem; }
textarea::placeholder, input::placeholder { color: var(--soft); opacity: 1; }
.controls { display: flex; flex-wrap: wrap; align-items: start; gap: .6rem 1rem; margin-top: .5rem; }
.controls details { flex: 1 1 auto; font-size: .9rem; }
summary { cursor: pointer; color: var(--soft); padding: .4rem .1rem; width: fit-content; }
.fields { display: flex; flex-wrap: wrap; gap: .5rem 1rem; padding: .3rem 0; color: var(--soft); }
.fields input { width: 7.5rem; padding: .25rem .5rem; margin-left: .3rem; color: var(--ink); }
.keys { color: var(--soft); font-size: .8rem; padding: .5rem 0; }
button { font: inherit; cursor: pointer; border-radius: 8px; border: 1px solid transparent; padding: .4rem 1.1rem; }
#send { margin-left: auto; background: var(--accent); color: var(--on-accent); font-weight: 600; min-width: 5.5rem; }
#send:hover { filter: brightness(1.08); }
.quiet { background: none; border-color: var(--line); color: var(--soft); padding: .15rem .7rem; font-size: .87rem; }
.quiet:hover { color: var(--ink); border-color: var(--soft); }

.verdict { display: flex; gap: .6rem; align-items: baseline; border-radius: 9px; padding: .55rem .8rem; margin-bottom: 1rem; background: var(--good-tint); color: var(--good); font-weight: 600; }
.verdict small { font-weight: 400; color: var(--ink); font-size: .87rem; }
.verdict.bad { background: var(--bad-tint); color: var(--bad); }
.verdict.open { background: var(--tint); color: var(--accent); }
.verdict span { overflow-wrap: anywhere; }
.crossing { display: grid; grid-template-columns: minmax(0, 1fr) minmax(7.5rem, .8fr) minmax(0, 1fr); align-items: stretch; }
.dock { border: 1.5px solid var(--line); border-radius: 10px; padding: .7rem .8rem; min-width: 0; }
.dock h3 { margin: 0; font-size: .95rem; }
.dock .pid { font: 600 1.25rem var(--mono); letter-spacing: -.02em; margin: .1rem 0 .3rem; }
.dock p { margin: 0; font-size: .83rem; color: var(--soft); overflow-wrap: anywhere; }
.dock code, .fine code { font: .8rem var(--mono); }
.dock .did { color: var(--ink); margin-top: .45rem; font-size: .87rem; }
.lane { display: flex; flex-direction: column; justify-content: center; text-align: center; padding: 0 .3rem; font-size: .85rem; color: var(--soft); }
.lane b { color: var(--ink); font-size: .98rem; }
.lane .line { position: relative; height: 2px; background: var(--accent); margin: .45rem .5rem; }
.lane .line::after { content: ""; position: absolute; right: -1px; top: -4px; border: 5px solid transparent; border-left: 8px solid var(--accent); border-right: 0; }
.lane.none .line { background: var(--line); }
.lane.none .line::after { border-left-color: var(--line); }
.tiles { display: flex; flex-wrap: wrap; gap: 1px; margin: 1rem 0; background: var(--line); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.tiles div { flex: 1 1 auto; min-width: 5.6rem; background: var(--panel); padding: .5rem .75rem; }
.tiles dt { color: var(--soft); font-size: .8rem; }
.tiles dd { margin: 0; white-space: nowrap; font-weight: 600; font-size: 1.05rem; font-variant-numeric: tabular-nums; }
.tiles dd small { display: block; font-weight: 400; color: var(--soft); font-size: .82rem; }
.phases { display: flex; height: .6rem; border-radius: 99px; overflow: hidden; background: var(--line); gap: 1px; }
.phases i { display: block; min-width: 2px; }
.phases .grant, .key .grant { background: #8fa8c2; }
.phases .plan, .key .plan { background: #c9a24b; }
.phases .post, .key .post { background: #b58ac9; }
.phases .move, .key .move { background: var(--accent); }
.phases .prove, .key .prove { background: var(--good); }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; padding: 0; margin: .4rem 0 .9rem; color: var(--soft); font-size: .83rem; }
.key i { display: inline-block; width: .65em; height: .65em; border-radius: 2px; margin-right: .4em; }
.fine { margin: 0; display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .15rem .9rem; font-size: .85rem; }
.fine dt { color: var(--soft); }
.fine dd { margin: 0; overflow-wrap: anywhere; }

.recent { grid-column: 1 / -1; }
.scroll { overflow-x: auto; margin: 0 -.3rem; padding: 0 .3rem; }
table { width: 100%; border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); padding: .25rem .7rem .35rem 0; white-space: nowrap; border-bottom: 1px solid var(--line); }
td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
tr.shown td { background: var(--tint); }
tr.none td { color: var(--soft); }
.number { text-align: right; padding-right: 1.4rem; }
td button { background: none; padding: .1rem .3rem; margin-left: -.3rem; color: var(--accent); font: .82rem var(--mono); border-radius: 4px; max-width: 13rem; overflow: hidden; text-overflow: ellipsis; vertical-align: bottom; }
td button:hover { text-decoration: underline; }
.ok { color: var(--good); }
.wrong { color: var(--bad); }
.quiet-text { color: var(--soft); }

@media (max-width: 68rem) {
  main { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 36rem) {
  .keys { display: none; }
  .crossing { grid-template-columns: minmax(0, 1fr); }
  .lane { padding: .5rem 0; display: grid; grid-template-columns: 1fr auto 1fr; align-items: center; gap: .3rem .8rem; }
  .lane .over { text-align: right; }
  .lane .under { text-align: left; }
  .lane .line { width: 2px; height: 2.6rem; margin: 0 auto; }
  .lane .line::after { right: -4px; top: auto; bottom: -2px; border: 5px solid transparent; border-top: 8px solid var(--accent); border-bottom: 0; }
  .lane.none .line::after { border-color: transparent; border-top-color: var(--line); }
}
@media (prefers-reduced-motion: reduce) {
  .turn.busy .text::after { animation: none; }
}
`
