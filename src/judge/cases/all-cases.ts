import { type JudgeCase, suiteNames } from "./case.ts"
import { shapes } from "./shapes.ts"

/** All cases, in the order in which they are run. */
export const allCases: readonly JudgeCase[] = [...shapes].sort(
  (one, other) => suiteNames.indexOf(one.suite) - suiteNames.indexOf(other.suite),
)
