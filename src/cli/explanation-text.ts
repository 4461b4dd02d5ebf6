import type { ExplainedPath } from "../agent/explain-peer.ts"
import { integrityLevels } from "../receipt/receipt.ts"
import type { ExplainReport } from "../serve/explain.ts"
import { oneLine } from "../terminal/one-line.ts"
import { harmless, type Style } from "../terminal/style.ts"
import { tableLines } from "../terminal/table.ts"
import { sizeText, timeText } from "../terminal/units.ts"

/** Longest name of the peer's that is shown. */
const nameMax = 60
/** Longest reason that is shown in the table; --json has all of it. */
const whyMax = 300

/** What was found about a peer, as lines for people: who it is, a table of the paths, and the choice. */
export function explanationLines(report: ExplainReport, style: Style): string[] {
  const { peer, candidates, handshakeMicros } = report
  return [
    `${style.strong(oneLine(peer.address, nameMax))} is ${style.strong(oneLine(peer.agentId, nameMax))}`,
    `  process    pid ${peer.pid}, boot ${peer.bootId.slice(0, 12)}, kvferry ${oneLine(peer.software, nameMax)}`,
    `  model      ${oneLine(peer.model.slice(0, 12), nameMax)} (a hash over configuration and weights)`,
    `  layout     ${layoutText(report)}`,
    `  trust      ${trustText(report)}, in ${timeText(handshakeMicros)}`,
    "",
    ...tableLines(
      [{ title: "path" }, { title: "allowed" }, { title: "usable" }, { title: "connects" }, { title: "why" }],
      candidates.map((candidate) => [
        `${candidate.chosen ? "→ " : "  "}${oneLine(candidate.transport, nameMax)}`,
        yesNo(candidate.allowed),
        yesNo(candidate.usable),
        connectText(candidate),
        whyText(candidate),
      ]),
    ),
    "",
    choiceLine(report, style),
    `integrity: ${integrityLevels.join(", ")}; whoever reads chooses for each transfer (kvferry worker --integrity)`,
    "grants: a caller may read, and write nothing; where a path cannot enforce a grant, its why says so",
  ]
}

function layoutText({ peer: { layout, poolBytes } }: ExplainReport): string {
  const { layers, kvHeads, headDim, elementBytes } = layout.shape
  const last = layout.firstHead + layout.heads - 1
  const part =
    layout.heads === kvHeads ? `${kvHeads} heads` : `heads ${layout.firstHead} to ${last} of ${kvHeads}`
  return (
    `${layers} layers, ${part}, ${headDim} numbers of ${elementBytes} bytes, ${layout.order}; ` +
    `${layout.blocks} blocks of ${layout.blockTokens} tokens, ${sizeText(poolBytes)} in all`
  )
}

function trustText({ trust: { how, publicKey, fingerprint, name } }: ExplainReport): string {
  if (publicKey === undefined) return "both sides proved the cluster's secret"
  const called = name === undefined ? "" : `, here called ${name}`
  const key = `it proved the key ${publicKey} (${fingerprint}${called})`
  return how === "both" ? `${key} and the cluster's secret` : key
}

const yesNo = (value: boolean): string => (value ? "yes" : "no")

function connectText({ outcome }: ExplainedPath): string {
  if (outcome === undefined) return "-"
  return outcome.connected ? timeText(outcome.micros) : "no"
}

function whyText({ why, usable, outcome }: ExplainedPath): string {
  const failed =
    usable && outcome?.connected === false ? `; it did not connect: ${errorText(outcome.error)}` : ""
  return oneLine(`${why}${failed}`, whyMax)
}

const errorText = ({ what, why }: { readonly what: string; readonly why?: string }): string =>
  why === undefined ? what : `${what} (${why})`

function choiceLine({ candidates, chosen, policy }: ExplainReport, style: Style): string {
  const required = policy.require === undefined ? "" : `, --require ${policy.require.join(",")}`
  const rule = harmless(`--paths ${policy.paths.join(",")}${required}`)
  if (chosen !== null) return style.good(`chosen: ${chosen} (the first usable one of ${rule})`)
  const taken = candidates.find((candidate) => candidate.chosen)
  return style.bad(
    taken === undefined
      ? `no path: none of ${rule} reaches this peer`
      : `no path: ${taken.transport} is the choice of ${rule}, and is refused`,
  )
}
