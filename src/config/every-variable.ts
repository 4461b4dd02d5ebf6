import { fabricEnvironment } from "./fabric-environment.ts"
import { mooncakeVariables } from "./mooncake-variables.ts"
import { nixlVariables } from "./nixl-variables.ts"
import type { Variable } from "./variable.ts"

/** Every variable of other programs that this program knows: the one table that all else follows. */
export const everyVariable: readonly Variable[] = [
  ...mooncakeVariables,
  ...nixlVariables,
  ...fabricEnvironment.map(({ name, of, use, reason, source }) => ({
    name,
    of,
    use,
    meaning: reason,
    source,
  })),
]
