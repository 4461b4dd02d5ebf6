import { environmentWarnings, usesRdma } from "../config/environment-warnings.ts"
import { resolveRdma } from "../config/resolve-rdma.ts"
import type { KvErrorRecord } from "../errors/kv-error.ts"
import { openCrew } from "../movers/thread-crew.ts"
import { efaPresence } from "../os/efa-presence.ts"
import { type FoundLibrary, findLibrary } from "../os/find-library.ts"
import { readLockedMemory } from "../os/memlock.ts"
import { type PresenceFact, rdmaPresence } from "../os/rdma-presence.ts"
import type { RailFacts } from "../transport/transport.ts"
import type { ExplainRequest } from "./explain.ts"
import { tryPaths } from "./transports.ts"

/** The document that `kvferry explain --local --json` prints. */
export interface LocalReport {
  readonly schema: "kvferry/explain-local/1"
  /** Every transport that the policy allows, in its order, and what opening it here gave. */
  readonly paths: readonly LocalPath[]
  /** What RDMA needs, where it was looked for, and what was there. */
  readonly rdma: readonly PresenceFact[]
  /** What would bring the first thing that is missing; null when all is there. */
  readonly next: string | null
  readonly efa: readonly PresenceFact[]
  readonly libraries: readonly FoundLibrary[]
  /** What this process may pin for devices, in bytes; null where there is no limit, or none holds. */
  readonly pinnableBytes: number | null
  /** Variables that are set in vain. */
  readonly warnings: readonly string[]
}

/** One transport on this machine. */
export interface LocalPath {
  readonly transport: string
  readonly open: boolean
  /** Its rails in words, where it has something to say of them. */
  readonly rails: readonly RailFacts[]
  readonly error?: KvErrorRecord
}

/** The libraries that our paths open by the loader's own search; NIXL's is looked for by its path. */
const libraryNames = ["libibverbs.so.1", "libfabric.so.1"]

/**
 * Opens the allowed paths of this machine, says what each gave, and closes them; and looks for what RDMA needs.
 * @throws KvError KV_USAGE for a policy that makes no sense.
 */
export async function explainLocal(
  request: Pick<ExplainRequest, "paths" | "required" | "encryption" | "rdma">,
): Promise<LocalReport> {
  const { paths, required, encryption = "none", rdma } = request
  // Before anything is opened: what a library is given by us is not what somebody has set in vain.
  const warnings = usesRdma(paths)
    ? environmentWarnings(process.env, paths, resolveRdma(process.env)).map(
        ({ name, text }) => `${name} is set: ${text}`,
      )
    : []
  const presence = rdmaPresence()
  const locked = readLockedMemory()
  const limited = locked !== undefined && !locked.exempt && Number.isFinite(locked.limit)
  return {
    schema: "kvferry/explain-local/1",
    paths: await lookAtPaths(paths, {
      host: "127.0.0.1",
      rails: 1,
      encryption,
      ...(required === undefined ? {} : { required }),
      ...(rdma === undefined ? {} : { rdma }),
    }),
    rdma: presence.facts,
    next: presence.next ?? null,
    efa: efaPresence(presence.devices),
    libraries: libraryNames.map((name) => findLibrary(name)),
    pinnableBytes: limited ? locked.limit : null,
    warnings,
  }
}

async function lookAtPaths(
  paths: readonly string[],
  options: Omit<Parameters<typeof tryPaths>[1], "crew">,
): Promise<LocalPath[]> {
  await using crew = await openCrew({ threads: 1 })
  const { endpoints, policy } = await tryPaths(paths, { ...options, crew })
  try {
    return policy.allowed.map((transport): LocalPath => {
      const endpoint = endpoints.find((open) => open.transport === transport)
      if (endpoint !== undefined) return { transport, open: true, rails: endpoint.describe?.() ?? [] }
      const error = policy.refused?.find((refused) => refused.transport === transport)?.error
      return { transport, open: false, rails: [], ...(error === undefined ? {} : { error: error.toJSON() }) }
    })
  } finally {
    await Promise.all(endpoints.map((endpoint) => endpoint[Symbol.asyncDispose]()))
  }
}
