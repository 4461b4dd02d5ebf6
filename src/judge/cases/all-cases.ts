import { blocks } from "./blocks.ts"
import { type JudgeCase, suiteNames } from "./case.ts"
import { pairs } from "./pairs.ts"
import { shapes } from "./shapes.ts"
import { tp } from "./tp.ts"

/** All cases, in the order in which they are run. */
export const allCases: readonly JudgeCase[] = [...shapes, ...blocks, ...pairs, ...tp].sort(
  (one, other) => suiteNames.indexOf(one.suite) - suiteNames.indexOf(other.suite),
)
