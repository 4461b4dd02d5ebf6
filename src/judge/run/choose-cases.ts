import { KvError } from "../../errors/kv-error.ts"
import { allCases } from "../cases/all-cases.ts"
import { caseId, type JudgeCase, suiteNames } from "../cases/case.ts"

/**
 * The cases of these suites whose ids fit one of the patterns; all when neither is given.
 * @param suites names of suites.
 * @param patterns `*` stands for any characters: "shapes/*-read", "*killed*".
 * @throws KvError KV_USAGE for a suite that is not there, or when nothing is left.
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
  const fitting = patterns?.map(pattern)
  const chosen = allCases.filter(
    (one) =>
      (suites === undefined || suites.includes(one.suite)) &&
      (fitting === undefined || fitting.some((fits) => fits.test(caseId(one)))),
  )
  if (chosen.length > 0) return chosen
  throw new KvError("KV_USAGE", {
    what: `no case fits ${(patterns ?? []).map((one) => JSON.stringify(one.slice(0, 80))).join(", ")}`,
    next: "a pattern is held against the whole id, such as shapes/counts-read; * stands for any characters; --list shows all ids",
  })
}

/** A pattern as a whole id: only `*` means something. */
function pattern(text: string): RegExp {
  const escaped = text.split("*").map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
  return new RegExp(`^${escaped.join(".*")}$`)
}
