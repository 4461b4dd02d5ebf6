import { environmentWarnings, problemsFor, usesRdma } from "../config/environment-warnings.ts"
import type { RdmaSettings } from "../config/rdma-settings.ts"
import { type OptionTexts, resolveRdma } from "../config/resolve-rdma.ts"

/** What a process needs to know before it opens its paths. */
export interface RdmaConfig {
  readonly settings: RdmaSettings
  /** Variables that are set and have no effect, one line each; none where no path uses RDMA. */
  readonly warnings: readonly string[]
}

/**
 * The RDMA settings of a process: its options before its environment.
 *
 * @throws KvError KV_USAGE for a text that cannot be read. One in another program's variable is no mistake of a process
 * whose paths use no RDMA.
 */
export function rdmaConfig(
  paths: readonly string[],
  options: OptionTexts,
  env: NodeJS.ProcessEnv = process.env,
): RdmaConfig {
  const resolved = resolveRdma(env, options)
  const [problem] = problemsFor(resolved, paths)
  if (problem !== undefined) throw problem.error
  const warnings = usesRdma(paths) ? environmentWarnings(env, paths, resolved) : []
  return {
    settings: resolved.settings,
    warnings: warnings.map(({ name, text }) => `${name} is set: ${text}`),
  }
}
