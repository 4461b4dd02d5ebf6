import { parseEngineSpec } from "../engine-spec.ts"
import type { BundleDocuments } from "./documents.ts"

/** Options that say where a result goes, and no more than that. */
const outputs = new Set(["--bundle", "--report", "--json", "--junit", "--compare"])

/**
 * Three commands that lead from a fresh clone to the same findings: build, install the engines that were accused, run these.
 * Where nobody was accused, all that were asked for.
 */
export function reproduction(command: readonly string[], documents: BundleDocuments): string[][] {
  const accused = accusedOf(documents)
  const peers = peersOf(documents, accused)
  return [
    ["npm", "run", "build"],
    ...(peers.length === 0 ? [] : [["npx", "kvferry", "peers", "install", ...peers]]),
    ["npx", ...withSeed(withEngines(withoutOutputs(command), accused), documents)],
  ]
}

function accusedOf({ verify, load }: BundleDocuments): string[] {
  const failed = (verify?.engines ?? []).filter(({ cases }) =>
    cases.some(({ verdict }) => verdict === "failed"),
  )
  const wrong = (load?.results ?? []).filter(
    ({ role, verdict }) => role !== "ceiling" && verdict === "different",
  )
  return [...new Set([...failed, ...wrong].map(({ engine }) => engine))]
}

/** Packages with the versions that ran, each once. */
function peersOf({ verify, load }: BundleDocuments, accused: readonly string[]): string[] {
  const ran = [
    ...(verify?.engines ?? []).map(({ engine, version }) => ({ engine, version })),
    ...(load?.results ?? [])
      .filter(({ role }) => role === "peer")
      .map(({ engine, version }) => ({ engine, version })),
  ]
  const wanted = ran.filter(({ engine }) => accused.length === 0 || accused.includes(engine))
  const packages = wanted.flatMap(({ engine, version: found }) => {
    const spec = specOf(engine)
    if (spec === undefined || spec.family === "kvferry") return []
    const version = spec.version ?? (/^\d[\w.+-]*$/.test(found ?? "") ? found : undefined)
    return [version === undefined ? spec.family : `${spec.family}==${version}`]
  })
  return [...new Set(packages)]
}

function specOf(engine: string) {
  try {
    return parseEngineSpec(engine)
  } catch {
    return undefined
  }
}

function withoutOutputs(command: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < command.length; i++) {
    const word = command[i]!
    const name = word.split("=")[0]!
    if (!outputs.has(name)) kept.push(word)
    else if (word === name && command[i + 1]?.startsWith("-") === false) i += 1
  }
  return kept
}

/** The command with only these engines in its list, where it has one. */
function withEngines(command: readonly string[], engines: readonly string[]): string[] {
  if (engines.length === 0) return [...command]
  const list = engines.join(",")
  return command.map((word, i) =>
    word.startsWith("--engines=") ? `--engines=${list}` : command[i - 1] === "--engines" ? list : word,
  )
}

function withSeed(command: readonly string[], { verify }: BundleDocuments): string[] {
  const told = command.some((word) => word === "--seed" || word.startsWith("--seed="))
  return verify === undefined || told ? [...command] : [...command, "--seed", String(verify.seed)]
}
