import type { PathPolicy } from "../agent/rank-paths.ts"
import type { Crew } from "../movers/crew.ts"
import { type CrewOptions, defaultMovers, openCrew } from "../movers/thread-crew.ts"
import type { Endpoint } from "../transport/transport.ts"
import { openPaths, type PathOptions } from "./transports.ts"

/** What moves a process's bytes: its threads, and the transports that its policy allows and this machine can open. */
export interface Fabrics extends AsyncDisposable {
  readonly crew: Crew
  /** In the order of the policy. */
  readonly endpoints: readonly Endpoint[]
  /** The policy, with what became of the paths that are not open. */
  readonly policy: PathPolicy
}

/** How fabrics are opened. */
export interface FabricOptions extends Omit<PathOptions, "crew"> {
  /** Allowed transports, best first. */
  readonly paths: readonly string[]
  readonly movers?: Partial<CrewOptions> | undefined
  /** Hears of each allowed path that could not be opened. */
  readonly warn?: ((text: string) => void) | undefined
}

/** Starts the threads and opens the paths. Close the agent that uses them first. @throws KvError as `openPaths`. */
export async function openFabrics({ paths, movers, warn, ...options }: FabricOptions): Promise<Fabrics> {
  const crew = await openCrew({ threads: defaultMovers(), ...movers })
  try {
    const { endpoints, policy } = await openPaths(paths, { ...options, crew })
    for (const { transport, error } of policy.refused) {
      warn?.(`the path ${transport} is not open: ${error.message}`)
    }
    return {
      crew,
      endpoints,
      policy,
      async [Symbol.asyncDispose]() {
        for (const endpoint of endpoints) await endpoint[Symbol.asyncDispose]()
        await crew[Symbol.asyncDispose]()
      },
    }
  } catch (thrown) {
    await crew[Symbol.asyncDispose]()
    throw thrown
  }
}
