import type { KvErrorCode } from "../errors/codes.ts"
import type { KvError } from "../errors/kv-error.ts"
import type { Endpoint, EndpointAddress } from "../transport/transport.ts"

/** A path that the policy allows, and the error that stands against it. */
export interface RefusedPath {
  readonly transport: string
  readonly error: KvError
}

/** Which paths the operator allows, and what this machine said to each of them. */
export interface PathPolicy {
  /** Allowed transports, best first (`--paths`). */
  readonly allowed: readonly string[]
  /** Every transport of this version, for telling what the policy leaves out. */
  readonly known: readonly string[]
  readonly refused: readonly RefusedPath[]
  /** Paths to this peer that were tried and did not connect: they are not tried again. */
  readonly failed?: readonly RefusedPath[]
  /** Nothing but these may be used (`--require`); anything that is allowed when left out. */
  readonly required?: readonly string[]
}

/** One way to a peer, and what is to be said of it. */
export interface PathCandidate {
  readonly transport: string
  /** Named by the policy. */
  readonly allowed: boolean
  /** It reaches the peer: open here, offered there, and the fabric says so. */
  readonly usable: boolean
  /** For people: why it is usable, or why not. */
  readonly why: string
  readonly chosen: boolean
}

/** Every way to a peer with its verdict, and the one that the policy takes. */
export interface RankedPaths {
  /** In the order of the policy; behind them what it does not allow. */
  readonly candidates: readonly PathCandidate[]
  /** Absent when nothing that is allowed reaches the peer, or when that is not what is required. */
  readonly chosen?: {
    readonly endpoint: Endpoint
    /** Place of the peer's address in `offered`. */
    readonly offer: number
  }
}

/**
 * Judges every path to a peer. The first allowed one that reaches it is the choice; `required` does not choose
 * another one, it only says whether this choice may be used.
 *
 * @param endpoints what is open on this side.
 * @param offered the peer's addresses, from its card.
 */
export function rankPaths(
  endpoints: readonly Endpoint[],
  offered: readonly EndpointAddress[],
  policy: PathPolicy = openPolicy(endpoints),
): RankedPaths {
  const candidates: PathCandidate[] = []
  let chosen: RankedPaths["chosen"]
  let taken = false
  for (const transport of new Set(policy.allowed)) {
    const endpoint = endpoints.find((open) => open.transport === transport)
    const offer = offered.findIndex((address) => address.transport === transport)
    const reach = judge(transport, endpoint, offered[offer], policy)
    const first = reach.usable && !taken
    taken ||= reach.usable
    const missed = first && policy.required?.includes(transport) === false
    if (first && !missed && endpoint !== undefined) chosen = { endpoint, offer }
    const why = missed ? `${reach.why}; but --require asks for ${policy.required.join(" or ")}` : reach.why
    candidates.push({ transport, allowed: true, usable: reach.usable, why, chosen: first && !missed })
  }
  candidates.push(...notAllowed(offered, policy))
  return { candidates, ...(chosen === undefined ? {} : { chosen }) }
}

/** The policy of a side that opened just what it wants to use. */
export function openPolicy(endpoints: readonly Endpoint[]): PathPolicy {
  const names = endpoints.map(({ transport }) => transport)
  return { allowed: names, known: names, refused: [] }
}

/** Errors of connecting that say: this path does not work here, the next allowed one may. */
const pathFailures: ReadonlySet<KvErrorCode> = new Set([
  "KV_OS",
  "KV_PEER_UNREACHABLE",
  "KV_TRANSPORT_UNAVAILABLE",
])

/** Whether the next allowed path may be taken after this error of connecting. Any other is the connection's end. */
export const isPathFailure = (code: KvErrorCode): boolean => pathFailures.has(code)

/** What is to be said of a path that the policy allows. */
function judge(
  transport: string,
  endpoint: Endpoint | undefined,
  address: EndpointAddress | undefined,
  { refused, failed }: PathPolicy,
): { readonly usable: boolean; readonly why: string } {
  if (endpoint === undefined) {
    return { usable: false, why: `not open on this side${told(transport, refused)}` }
  }
  if (address === undefined) return { usable: false, why: `the peer offers no ${transport}` }
  if (failed?.some((path) => path.transport === transport) === true) {
    return { usable: false, why: `it did not connect${told(transport, failed)}` }
  }
  return endpoint.reaches(address)
}

/** The error that stands against a path, behind a colon; nothing when there is none. */
function told(transport: string, paths: readonly RefusedPath[]): string {
  const error = paths.find((path) => path.transport === transport)?.error
  if (error === undefined) return ""
  return `: ${error.what}${error.why === undefined ? "" : ` (${error.why})`}`
}

/** What is there and may not be used: a reader who misses a path finds it here. */
function notAllowed(offered: readonly EndpointAddress[], { allowed, known }: PathPolicy): PathCandidate[] {
  const theirs = offered.map(({ transport }) => transport)
  const others = [...new Set([...known, ...theirs])].filter((transport) => !allowed.includes(transport))
  return others.map((transport) => {
    const offer = theirs.includes(transport) ? "the peer offers it" : "the peer does not offer it"
    const why = known.includes(transport)
      ? `not in --paths; ${offer}`
      : `${offer}, and this side does not know it`
    return { transport, allowed: false, usable: false, why, chosen: false }
  })
}
