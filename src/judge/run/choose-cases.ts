import { KvError } from "../../errors/kv-error.ts"
import { allCases } from "../cases/all-cases.ts"
import { caseId, type JudgeCase, suiteNames } from "../cases/case.ts"

/**
 * The cases of these suites whose ids fit one of the patterns; all when neither is given.
 * @param suites names of suites.
 * @param patterns `*` stands for any characters: "shapes/*-read", "*killed*".
 * @throws KvError KV_USAGE for a suite that is not there, or a pattern that fits nothing.
 */
export function chooseCases(
  suites: readonly string[] | undefined,
  patterns: readonly string[] | undefined,
): readonly JudgeCase[] {
  const unknown = suites?.find((suite) => !(suiteNames as readonly string[]).includes(suite))
  if (unknown !== undefined) {
    throw new KvError("KV_USAGE", {
      what: `there is no suite ${JSON.stringify(unknown.slice(0, 80))}`,
      next: `choose of ${suiteNames.join(", ")}; --list shows all cases`,
    })
  }
  const offered = allCases.filter(({ suite }) => suites === undefined || suites.includes(suite))
  if (patterns === undefined) return offered
  // Also one of many: a name that was mistyped must not be a case that is left out unseen.
  const idle = patterns.filter((pattern) => !offered.some((one) => fits(caseId(one), pattern)))
  if (idle.length === 0)
    return offered.filter((one) => patterns.some((pattern) => fits(caseId(one), pattern)))
  const of = suites === undefined ? "" : ` of ${suites.join(", ")}`
  throw new KvError("KV_USAGE", {
    what: `no case${of} fits ${idle.map((one) => JSON.stringify(one.slice(0, 80))).join(", ")}`,
    next: "a pattern is held against the whole id, such as shapes/counts-read; * stands for any characters; --list shows all ids",
  })
}

/**
 * Whether a pattern is the whole id: only `*` means something. Each part is taken where it comes first, so that the work is
 * bounded by the lengths, whatever the pattern.
 */
function fits(id: string, pattern: string): boolean {
  const [first, ...rest] = pattern.split("*") as [string, ...string[]]
  const last = rest.pop()
  if (last === undefined) return id === first
  const end = id.length - last.length
  if (!id.startsWith(first) || !id.endsWith(last) || end < first.length) return false
  let from = first.length
  for (const part of rest) {
    const at = id.indexOf(part, from)
    if (at === -1 || at + part.length > end) return false
    from = at + part.length
  }
  return true
}
