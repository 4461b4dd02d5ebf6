import { secretName } from "./secrets.ts"

/** Variables that decide what the engines do. Nothing else of an environment leaves the machine. */
const wanted =
  /^(?:MC_|NIXL_|FI_|UCX_|KVFERRY_|PYTHON|NCCL_|IBV_|RDMAV_|MLX5_|OMP_)|^(?:LD_LIBRARY_PATH|LD_PRELOAD|CUDA_VISIBLE_DEVICES|NODE_OPTIONS|NO_COLOR|MALLOC_ARENA_MAX)$/

/** The variables that may tell why an engine did what it did, by name; values of those that may be secrets are not told. */
export function relevantEnvironment(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  const told = Object.entries(env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && wanted.test(entry[0]),
  )
  return Object.fromEntries(
    told
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => [name, secretName.test(name) ? "<redacted>" : value]),
  )
}
