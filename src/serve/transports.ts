import type { PathPolicy, RefusedPath } from "../agent/rank-paths.ts"
import { defaultRdmaSettings, type RdmaSettings } from "../config/rdma-settings.ts"
import { asKvError, KvError } from "../errors/kv-error.ts"
import type { Crew } from "../movers/crew.ts"
import { readRdmaDevices } from "../os/rdma-devices.ts"
import { createCma } from "../transport/cma/cma.ts"
import { createLibfabric } from "../transport/libfabric/libfabric.ts"
import { loopback } from "../transport/loopback/loopback.ts"
import { createNixl } from "../transport/nixl/nixl.ts"
import { createShm } from "../transport/shm/shm.ts"
import { createTcp, type Encryption } from "../transport/tcp/tcp.ts"
import type { Endpoint, EndpointOptions, Transport } from "../transport/transport.ts"
import { createVerbs } from "../transport/verbs/verbs.ts"
import { verbsOptions } from "./verbs-options.ts"

/** How the allowed paths are opened. */
export interface PathOptions extends EndpointOptions {
  /** The threads that copy, for the paths whose bytes a processor moves. */
  readonly crew: Crew
  /** Paths of which nothing else may take the place: refuse to open without them (`--require`). */
  readonly required?: readonly string[]
  /** What tcp does with its streams; `none` when absent. The other paths never leave the machine. */
  readonly encryption?: Encryption
  /** What an operator decides of RDMA; `defaultRdmaSettings` when absent. */
  readonly rdma?: RdmaSettings
}

/** The paths that could be opened, and the policy with what became of the others. */
export interface OpenedPaths {
  /** In the order of the policy; whoever opened them closes them. */
  readonly endpoints: readonly Endpoint[]
  readonly policy: PathPolicy
}

interface CatalogueEntry {
  readonly name: string
  readonly make: (options: PathOptions) => Transport
  /** True when it is used only by whoever names it. */
  readonly onlyNamed?: boolean
}

/** Every transport there is, in the order of preference. A new one is added here, with what it needs to be made. */
const catalogue: readonly CatalogueEntry[] = [
  { name: "loopback", make: () => loopback, onlyNamed: true },
  { name: "shm", make: ({ crew }) => createShm({ crew }) },
  { name: "cma", make: ({ crew }) => createCma({ crew }) },
  { name: "verbs", make: ({ rdma = defaultRdmaSettings }) => createVerbs(verbsOptions(rdma)) },
  {
    name: "libfabric",
    make: ({ rdma = defaultRdmaSettings }) => createLibfabric({ rdma, everyNic: true }),
    // NICs of other kinds are reached by verbs without a library between.
    onlyNamed: !hasEfa(),
  },
  { name: "tcp", make: ({ encryption = "none" }) => createTcp({ encryption }) },
  {
    name: "nixl",
    make: ({ rdma = defaultRdmaSettings }) =>
      createNixl({ library: rdma.nixlLibrary, backends: [rdma.nixlBackend] }),
    onlyNamed: true,
  },
]

function hasEfa(): boolean {
  return readRdmaDevices().some(({ driver }) => driver === "efa")
}

/** Their names, for help texts and metrics. */
export const transportNames: readonly string[] = catalogue.map(({ name }) => name)

/**
 * The policy of a process that names none: not the path that never leaves a process, and not another engine's; libfabric
 * where there is an EFA device.
 */
export const defaultPaths: readonly string[] = catalogue
  .filter(({ onlyNamed }) => onlyNamed !== true)
  .map(({ name }) => name)

/**
 * Opens the transports that a path policy names, in its order. One that this machine refuses is left out and
 * remembered with the reason, unless it is required.
 *
 * @throws KvError KV_USAGE for an unknown name, or a required path that is not allowed; KV_TRANSPORT_UNAVAILABLE when a
 * required path cannot be opened, or none can.
 */
export async function openPaths(paths: readonly string[], options: PathOptions): Promise<OpenedPaths> {
  const opened = await tryPaths(paths, options)
  const { refused, required } = opened.policy
  const missing = refused.filter(({ transport }) => required?.includes(transport) === true)
  if (missing.length === 0 && opened.endpoints.length > 0) return opened
  await Promise.all(opened.endpoints.map((endpoint) => endpoint[Symbol.asyncDispose]()))
  throw unavailable(missing, refused)
}

/**
 * `openPaths` for one who only wants to know: also when a required path, or every one, is refused.
 * @throws KvError KV_USAGE for an unknown name, or a required path that is not allowed.
 */
export async function tryPaths(paths: readonly string[], options: PathOptions): Promise<OpenedPaths> {
  const allowed = [...new Set(paths)]
  const { required } = options
  const chosen = allowed.map((path) => ({ path, make: makerOf("--paths", path) }))
  for (const path of required ?? []) {
    makerOf("--require", path)
    if (!allowed.includes(path)) throw contradiction(path, allowed)
  }
  const endpoints: Endpoint[] = []
  const refused: RefusedPath[] = []
  for (const { path, make } of chosen) {
    try {
      endpoints.push(await make(options).open(options))
    } catch (thrown) {
      const what = `the ${path} transport failed by a mistake of ours`
      refused.push({ transport: path, error: asKvError(thrown, "KV_INTERNAL", what) })
    }
  }
  const policy = { allowed, known: transportNames, refused, ...(required === undefined ? {} : { required }) }
  return { endpoints, policy }
}

function makerOf(option: string, path: string): (options: PathOptions) => Transport {
  const entry = catalogue.find(({ name }) => name === path)
  if (entry !== undefined) return entry.make
  throw new KvError("KV_USAGE", {
    what: `there is no transport ${JSON.stringify(path.slice(0, 40))}`,
    next: `${option} takes a list of: ${transportNames.join(", ")}`,
  })
}

function contradiction(path: string, allowed: readonly string[]): KvError {
  return new KvError("KV_USAGE", {
    what: `--require asks for ${path}, and --paths allows ${allowed.join(", ")}`,
    next: `add ${path} to --paths, or take it out of --require`,
  })
}

function unavailable(missing: readonly RefusedPath[], refused: readonly RefusedPath[]): KvError {
  const names = missing.map(({ transport }) => transport).join(", ")
  const why = refused.map(
    ({ transport, error }) =>
      `${transport}: ${error.what}${error.why === undefined ? "" : ` (${error.why})`}`,
  )
  return new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what:
      names === ""
        ? "none of the allowed paths can be opened here"
        : `${names} is required and cannot be opened here`,
    why: why.join("; ") || "--paths allows none",
    next: names === "" ? "allow another path with --paths" : "mend it, or start without --require",
    cause: (missing[0] ?? refused[0])?.error,
  })
}
