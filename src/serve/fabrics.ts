import type { PathPolicy, RefusedPath } from "../agent/rank-paths.ts"
import { usesRdma } from "../config/environment-warnings.ts"
import type { Crew } from "../movers/crew.ts"
import { type CrewOptions, defaultMovers, openCrew } from "../movers/thread-crew.ts"
import { readRdmaDevices } from "../os/rdma-devices.ts"
import type { Endpoint } from "../transport/transport.ts"
import { defaultPaths, openPaths, type PathOptions } from "./transports.ts"

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
    for (const refused of policy.refused) {
      if (isNews(refused, paths)) warn?.(refusalText(refused))
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

/** Longest reason on one line; a longer one is for whoever asks. */
const reasonMax = 300

/** That a path is not open, and why, in a line. */
export function refusalText({ transport, error }: RefusedPath): string {
  const why =
    error.message.length <= reasonMax ? error.message : `${error.what}; \`kvferry explain\` tells why`
  return `the path ${transport} is not open: ${why}`
}

/**
 * Whether an operator should hear of it. A machine that has no RDMA device is what most machines are: it is told to
 * those who named such a path. On one that has a device, a path that does not open is news in any case.
 */
export function isNews(
  { transport }: RefusedPath,
  paths: readonly string[],
  hasDevices: () => boolean = () => readRdmaDevices().length > 0,
): boolean {
  const byDefault = paths.join() === defaultPaths.join()
  return !byDefault || !usesRdma([transport]) || hasDevices()
}
