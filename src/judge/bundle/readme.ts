import { sizeText } from "../../terminal/units.ts"
import { type LoadDocument, outcomeOf } from "../load-document.ts"
import { causeText, kindText } from "../report/cause-texts.ts"
import { softwareText } from "../report/frame.ts"
import { type CaseResult, type EngineResult, whyNotJudged, wrongBytesCases } from "../verify-document.ts"
import type { BundleDocuments } from "./documents.ts"
import type { RedactionCounts } from "./redact.ts"
import { reproduction } from "./reproduction.ts"

/** Findings that are told in full; of the others the name. */
const findingsMax = 5

/** What is said to whoever gets the archive: what ran, what had to come, what came, and how to see it again. */
export interface ReadmeParts {
  readonly command: readonly string[]
  readonly documents: BundleDocuments
  /** Files of the archive with what each is. */
  readonly contents: readonly (readonly [string, string])[]
}

/** The text of a report to the maintainers of an engine. It still has to be redacted. */
export function readmeText({ command, documents, contents }: ReadmeParts): string {
  const { verify, load } = documents
  const document = verify ?? load
  return [
    title(documents),
    "",
    "WHAT WAS RUN",
    "",
    `  ${command.map(shellWord).join(" ")}`,
    "",
    ...(document === undefined
      ? []
      : [
          `  ${softwareText(document.software)}, Node ${document.machine.node}, Linux ${document.machine.kernel} (${document.machine.platform})`,
          `  ${document.machine.cpuModel}, ${document.machine.cores} cores, ${document.machine.virtual}, ${sizeText(document.machine.memoryBytes)}`,
          `  ${document.startedAt}, ${(document.tookMillis / 1000).toFixed(1)} s${document.interrupted ? ", interrupted: this is a part" : ""}`,
          "",
        ]),
    ...engineLines(documents),
    "WHAT WAS EXPECTED",
    "",
    ...expected,
    "",
    "WHAT HAPPENED",
    "",
    ...(verify === undefined ? [] : verify.engines.flatMap(verifyLines)),
    ...(load === undefined ? [] : loadLines(load)),
    "HOW TO SEE IT AGAIN",
    "",
    "  In a clone of kvferry (Linux, Node 20.19 or newer; no GPU, no NIC, no root):",
    "",
    ...reproduction(command, documents).map((line) => `  ${line.map(shellWord).join(" ")}`),
    "",
    "WHAT IS IN HERE",
    "",
    ...contents.map(([file, what]) => `  ${file.padEnd(24)}  ${what}`),
    "",
  ].join("\n")
}

/** What was taken out, for the one who sends it. */
export function redactionText(counts: RedactionCounts): string {
  const rows = Object.entries(counts).map(([kind, count]) => `  ${kind}: ${count} times`)
  return [
    "WHAT WAS TAKEN OUT",
    "",
    "  Names of this machine and of its user, home folders, addresses and whatever looked like a secret were replaced.",
    "  One name or address has one placeholder everywhere (host-1, ip-2). Look through the files before you send them on.",
    "",
    ...(rows.length === 0 ? ["  nothing was found to take out"] : rows),
    "",
  ].join("\n")
}

function title({ verify, load }: BundleDocuments): string {
  if (verify !== undefined) {
    const failed = verify.engines.filter(({ cases }) => cases.some(({ verdict }) => verdict === "failed"))
    if (verify.verdict === "not judged") return `kvferry verify: not judged: ${whyNotJudged(verify)}`
    return failed.length === 0
      ? "kvferry verify: no case failed"
      : `kvferry verify: ${failed.map(({ engine }) => engine).join(", ")} failed`
  }
  const wrong = (load?.results ?? []).filter(({ verdict }) => verdict === "different")
  if (wrong.length > 0)
    return `kvferry bench: ${wrong.map(({ engine }) => engine).join(", ")} moved wrong bytes`
  return `kvferry bench: ${load?.verdict === "identical" ? "every byte was right" : "not every engine got to its end"}`
}

const expected = [
  "  When an engine says that a transfer is done, every byte that was asked for is in its place, and no other byte of the",
  "  target has changed. The judge fills the memory of both processes with a pattern in which every 8-byte word says where",
  "  it belongs, poisons the target, and compares all of it afterwards; what the engine says of itself is not evidence.",
  "  A transfer that cannot be done ends with an error, within its deadline.",
]

function engineLines({ verify, load }: BundleDocuments): string[] {
  const about = [...(verify?.engines ?? []), ...(load?.results ?? [])].flatMap((one) =>
    one.about === undefined ? [] : [`  ${one.engine}: ${one.about}`],
  )
  return about.length === 0 ? [] : [...about, ""]
}

function verifyLines(result: EngineResult): string[] {
  const { engine, cases, unavailable, stopped } = result
  const failed = cases.filter(({ verdict }) => verdict === "failed")
  const count = (wanted: CaseResult["verdict"]): number =>
    cases.filter(({ verdict }) => verdict === wanted).length
  const ofBytes = failed.length === 0 ? "" : ` (${wrongBytesCases(result) || "none"} with wrong bytes)`
  return [
    unavailable === undefined
      ? `  ${engine}: ${count("passed")} passed, ${failed.length} failed${ofBytes}, ${count("not supported")} not supported`
      : `  ${engine}: did not run: ${unavailable}`,
    ...(stopped === undefined ? [] : [`    stopped early: ${stopped}`]),
    "",
    ...failed.slice(0, findingsMax).flatMap(findingLines),
    ...(failed.length > findingsMax
      ? [
          `    and ${failed.length - findingsMax} more: ${failed
            .slice(findingsMax)
            .map(({ id }) => id)
            .join(", ")}`,
          "",
        ]
      : []),
  ]
}

function findingLines({ id, title: name, finding }: CaseResult): string[] {
  if (finding === undefined) return [`    ${id}: failed`, ""]
  const { kind, cause, text, first } = finding
  return [
    `    ${id}`,
    `      looks for: ${name}`,
    `      ${kindText(kind)}${cause === undefined ? "" : `; cause ${cause}: ${causeText(cause)}`}`,
    ...text.split("\n").map((line) => `      ${line}`),
    ...(first === undefined
      ? []
      : [
          `      first wrong place: ${first.agent}, layer ${first.layer}, block ${first.block}, byte ${first.offset} of the layer's region`,
          `        expected ${first.expected}`,
          `        found    ${first.found}`,
        ]),
    "",
  ]
}

/** Rates are not what an issue report is about: what was right and what was not. */
function loadLines({ results }: LoadDocument): string[] {
  return [
    ...results.map(
      (result) =>
        `  ${result.engine}: ${outcomeOf(result)}${result.why === undefined ? "" : `: ${result.why}`}`,
    ),
    "",
  ]
}

/** A word as a shell takes it. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
