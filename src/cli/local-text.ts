import type { FoundLibrary } from "../os/find-library.ts"
import type { PresenceFact } from "../os/rdma-presence.ts"
import type { LocalPath, LocalReport } from "../serve/explain-local.ts"
import { oneLine } from "../terminal/one-line.ts"
import type { Style } from "../terminal/style.ts"
import { tableLines } from "../terminal/table.ts"
import { sizeText } from "../terminal/units.ts"

/** Longest reason, and longest fact, that is shown; --json has all of it. */
const whyMax = 1200
const factMax = 160

/** What this machine can do, as lines for people. */
export function localLines(report: LocalReport, style: Style): string[] {
  const { paths, rdma, next, efa, libraries, pinnableBytes, warnings } = report
  return [
    style.strong("Paths of this machine"),
    ...tableLines([{ title: "path" }, { title: "opens" }, { title: "why" }], paths.map(pathRow)),
    ...paths.flatMap(railLines),
    ...paths.flatMap(refusalLines),
    "",
    style.strong("RDMA: what it needs"),
    ...factLines(rdma),
    next === null ? style.good("  everything is there") : `  next: ${next}`,
    pinnableBytes === null
      ? "  memory that may be pinned: no limit holds for this process"
      : `  memory that may be pinned: ${sizeText(pinnableBytes)} (RLIMIT_MEMLOCK), for all regions and queues of all rails`,
    "",
    style.strong("EFA"),
    ...factLines(efa),
    "",
    style.strong("Libraries"),
    ...factLines(libraries.map(libraryFact)),
    ...(warnings.length === 0 ? [] : ["", ...warnings.map((text) => style.bad(oneLine(text, whyMax)))]),
  ]
}

function pathRow({ transport, open, error, rails }: LocalPath): string[] {
  const why = open
    ? rails.length === 0
      ? ""
      : `${rails.length} rail${rails.length === 1 ? "" : "s"}, below`
    : (error?.what ?? "")
  return [oneLine(transport, 20), open ? "yes" : "no", oneLine(why, whyMax)]
}

function railLines({ transport, rails }: LocalPath): string[] {
  return rails.flatMap(({ rail, facts }) => [
    `  ${oneLine(transport, 20)}, rail ${rail}`,
    ...Object.entries(facts).map(
      ([name, text]) => `    ${oneLine(name, 40).padEnd(24)} ${oneLine(text, factMax)}`,
    ),
  ])
}

/** Why a path does not open, and what to do: the table has no room for it. */
function refusalLines({ transport, error }: LocalPath): string[] {
  if (error?.why === undefined && error?.next === undefined) return []
  const line = (name: string, text: string | undefined): string[] =>
    text === undefined ? [] : [`    ${name.padEnd(5)} ${oneLine(text, whyMax)}`]
  return [`  ${oneLine(transport, 20)}`, ...line("why", error.why), ...line("next", error.next)]
}

/** What is there; and for what is not, where it was looked for. */
const factLines = (facts: readonly PresenceFact[]): string[] =>
  facts.flatMap(({ what, found, detail, where }) => [
    `  ${found ? "yes" : "no "}  ${what.padEnd(27)} ${oneLine(detail, factMax)}`,
    ...(found ? [] : [`       ${"".padEnd(27)} looked for in ${oneLine(where, factMax)}`]),
  ])

const libraryFact = ({ name, file, where }: FoundLibrary): PresenceFact => ({
  what: name,
  where,
  found: file !== undefined,
  detail: file ?? "none",
})
