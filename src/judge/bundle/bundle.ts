import { homedir, hostname, userInfo } from "node:os"
import { gzipSync } from "node:zlib"
import { harmless } from "../../terminal/style.ts"
import { loadReportHtml } from "../report/load-report.ts"
import { withoutUnproven } from "../report/proven.ts"
import { writeResultFile } from "../report/result-file.ts"
import { verifyReportHtml } from "../report/verify-report.ts"
import type { WrongBlock } from "../wrong-block.ts"
import type { BundleDocuments } from "./documents.ts"
import { relevantEnvironment } from "./environment.ts"
import { hexDump } from "./hex-dump.ts"
import { readmeText, redactionText } from "./readme.ts"
import { type Owner, Redactor } from "./redact.ts"
import type { Secret } from "./secrets.ts"
import { type TarFile, tarOf } from "./tar.ts"
import { topology } from "./topology.ts"
import { versions } from "./versions.ts"

/** A bundle is for its owner to look through before anybody else sees it. */
const ownerOnly = 0o600

type AccusedBlock = WrongBlock & { readonly engine: string; readonly caseId: string }

/** What only the run knows. Versions, topology and environment are looked up. */
export interface BundleParts {
  /** As typed: `["kvferry", "verify", "--engines", …]`. */
  readonly command: readonly string[]
  readonly documents: BundleDocuments
  /** Last words of the engines' processes, beside those in the documents. */
  readonly logs?: readonly { readonly name: string; readonly text: string }[]
  readonly receipts?: readonly unknown[]
  /** The first block that was wrong, of which engine and in which case. */
  readonly wrongBlock?: AccusedBlock
  /** Names of other hosts that the user gave: they are replaced like this machine's own. */
  readonly hosts?: readonly string[]
  /** Secrets of the run itself: what its drivers authenticate each other with, and its two hosts. */
  readonly secrets?: readonly Secret[]
}

/**
 * Writes the evidence of a run as one `.tar.gz`, for an issue report to the maintainers of an engine: what was run, what was
 * expected, what happened, how to see it again, and everything about this machine that may matter, redacted.
 * @throws KvError KV_OS when the file cannot be written: nothing is left of it then.
 */
export async function writeBundle(
  file: string,
  parts: BundleParts,
  owner: Owner = thisOwner(parts),
): Promise<{ readonly files: readonly string[]; readonly bytes: number }> {
  const { verify, load } = parts.documents
  const files = bundleFiles(parts, owner)
  const started = new Date(verify?.startedAt ?? load?.startedAt ?? 0)
  const folder = `kvferry-${verify === undefined ? "bench" : "verify"}-${stamp(started)}`
  const archive = tarOf(
    files.map(({ path, bytes }) => ({ path: `${folder}/${path}`, bytes })),
    started,
  )
  const packed = gzipSync(archive, { level: 9 })
  writeResultFile(file, packed, ownerOnly)
  return { files: files.map(({ path }) => path), bytes: packed.byteLength }
}

/** Everything goes through one redactor, so that a name has one placeholder in all files. */
function bundleFiles(parts: BundleParts, owner: Owner): TarFile[] {
  const redactor = new Redactor(owner)
  const documents = redactor.value(provenOnly(parts.documents))
  const { verify, load } = documents
  const files: { readonly path: string; readonly what: string; readonly text: string }[] = []
  const add = (path: string, what: string, text: string): void => {
    files.push({ path, what, text })
  }
  const record = "the record of the run, as --json prints it"
  if (verify !== undefined) {
    add("verify.json", record, jsonText(verify))
    add("verify.html", "the same as a page", verifyReportHtml(verify))
  }
  if (load !== undefined) {
    add("load.json", record, jsonText(load))
    add("load.html", "the same as a page", loadReportHtml(load))
  }
  if (parts.wrongBlock !== undefined) {
    const text = redactor.text(wrongBlockText(parts.wrongBlock))
    add("first-wrong-block.txt", "its bytes, expected beside found", text)
  }
  const looked = redactor.value({
    versions: versions(parts.documents),
    topology: topology(),
    environment: relevantEnvironment(owner.env),
    receipts: parts.receipts ?? [],
  })
  const versionsAre = "kvferry, Node, kernel, engines, libraries with their paths"
  add("versions.json", versionsAre, jsonText(looked.versions))
  add("topology.json", "processors, NUMA nodes, NICs", jsonText(looked.topology))
  add("environment.json", "variables that engines read", jsonText(looked.environment))
  if (parts.receipts !== undefined) {
    add("receipts.json", "what the engines say they did", jsonText(looked.receipts))
  }
  for (const [i, { name, text }] of allLogs(parts).entries()) {
    const safe = redactor
      .text(name)
      .replace(/[^\w.=-]+/g, "-")
      .slice(0, 40)
    const path = `logs/${String(i + 1).padStart(2, "0")}-${safe}.txt`
    add(path, "last words", `${harmless(redactor.text(text))}\n`)
  }
  const contents = files.map(({ path, what }) => [path, what] as const)
  const readme = redactor.text(readmeText({ command: hidden(parts.command), documents, contents }))
  const all = [
    { path: "README.txt", text: `${harmless(readme)}\n${redactionText(redactor.counts)}` },
    ...files,
  ]
  return all.map(({ path, text }) => ({ path, bytes: Buffer.from(text, "utf8") }))
}

const jsonText = (value: unknown): string => `${JSON.stringify(value, undefined, 1)}\n`

function provenOnly({ verify, load }: BundleDocuments): BundleDocuments {
  return {
    ...(verify === undefined ? {} : { verify }),
    ...(load === undefined ? {} : { load: withoutUnproven(load) }),
  }
}

/** Logs that were kept, and those of the findings, each text once. */
function allLogs({ documents, logs = [] }: BundleParts): { readonly name: string; readonly text: string }[] {
  const found = (documents.verify?.engines ?? []).flatMap(({ engine, cases }) =>
    cases.flatMap(({ id, finding }) =>
      finding?.log === undefined ? [] : [{ name: `${engine}-${id}`, text: finding.log }],
    ),
  )
  const seen = new Set<string>()
  return [...logs, ...found].filter(({ text }) => {
    if (text.trim() === "" || seen.has(text)) return false
    seen.add(text)
    return true
  })
}

function wrongBlockText({
  engine,
  caseId,
  agent,
  layer,
  block,
  offset,
  expected,
  found,
}: AccusedBlock): string {
  return [
    `${engine}, ${caseId}: ${agent}, layer ${layer}, block ${block}, from byte ${offset} of the layer's region`,
    "",
    ...hexDump(expected, found, offset),
    "",
  ].join("\n")
}

/** The command without the values of options that are secrets. */
function hidden(command: readonly string[]): string[] {
  return command.map((word, i) => {
    const isSecret = (option: string | undefined): boolean =>
      /^--[\w-]*(?:secret|token|password|key)/i.test(option ?? "")
    if (isSecret(word) && word.includes("=")) return `${word.split("=")[0]}=<redacted>`
    return isSecret(command[i - 1]) && !command[i - 1]!.includes("=") ? "<redacted>" : word
  })
}

function thisOwner({ hosts = [], secrets = [] }: BundleParts): Owner {
  return { env: process.env, home: homedir(), user: userName(), hosts: [hostname(), ...hosts], secrets }
}

/** A user id without a name is possible in a container. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return process.env["USER"] ?? ""
  }
}

/** `20261121-025345`. */
const stamp = (date: Date): string => date.toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15)
