import { KvError } from "../errors/kv-error.ts"
import type { Endpoint } from "../transport/transport.ts"
import type { EndpointCard } from "../wire/grant.ts"
import { type PathCandidate, type PathPolicy, rankPaths } from "./rank-paths.ts"

/** The fabric that was chosen for a peer, and what was wrong with each one before it. */
export interface ChosenPath {
  readonly endpoint: Endpoint
  readonly remote: EndpointCard
  /** For the receipt: why this path, and what was wrong with each one before it. */
  readonly why: string
  /** Paths that the policy likes better and that were passed over, each with its reason. */
  readonly passedOver: readonly PathCandidate[]
}

/** What a peer offers: its fabrics, and its name for messages. */
export interface Offered {
  readonly agentId: string
  readonly endpoints: readonly EndpointCard[]
}

/**
 * Takes the first of our endpoints, in the order of the policy, that reaches the peer.
 * @throws KvError KV_TRANSPORT_UNAVAILABLE listing every path with its reason: never a silent fallback.
 */
export function choosePath(endpoints: readonly Endpoint[], card: Offered, policy?: PathPolicy): ChosenPath {
  const offered = card.endpoints.map(({ address }) => address)
  const { candidates, chosen } = rankPaths(endpoints, offered, policy)
  if (chosen === undefined) throw noPath(candidates, card.agentId, policy, endpoints.length > 0)
  const place = candidates.findIndex((candidate) => candidate.chosen)
  const passedOver = candidates.slice(0, place)
  const passed = passedOver.length === 0 ? "first allowed path" : `after ${reasons(passedOver)}`
  return {
    endpoint: chosen.endpoint,
    remote: card.endpoints[chosen.offer]!,
    why: `${chosen.endpoint.transport}: ${candidates[place]!.why} (${passed})`,
    passedOver,
  }
}

/** Candidates as text: each with its reason. */
export const reasons = (candidates: readonly PathCandidate[]): string =>
  candidates.map(({ transport, why }) => `${transport}: ${why}`).join("; ")

function noPath(
  candidates: readonly PathCandidate[],
  peer: string,
  policy: PathPolicy | undefined,
  open: boolean,
): KvError {
  const required = policy?.required?.join(" or ")
  return new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what:
      required === undefined ? `no allowed path reaches ${peer}` : `${peer} is not reached over ${required}`,
    why: [...(open ? [] : ["no transport is open on this side"]), reasons(candidates)].join("; "),
    next: "allow more paths on both sides (--paths), or mend the one you want; `kvferry explain` shows each",
  })
}
