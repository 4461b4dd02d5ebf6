import { KvError } from "../errors/kv-error.ts"
import type { Endpoint } from "../transport/transport.ts"
import type { EndpointCard } from "../wire/grant.ts"

/** The fabric that was chosen for a peer, and what was wrong with each one before it. */
export interface ChosenPath {
  readonly endpoint: Endpoint
  readonly remote: EndpointCard
  readonly why: string
}

/** Where a peer can be reached: what its grant says. */
export interface PathOffer {
  readonly agentId: string
  readonly endpoints: readonly EndpointCard[]
}

/**
 * Takes the first of our endpoints, in the order of the policy, that reaches the peer.
 * @throws KvError KV_TRANSPORT_UNAVAILABLE listing every path with its reason: never a silent fallback.
 */
export function choosePath(endpoints: readonly Endpoint[], offer: PathOffer): ChosenPath {
  const refusals: string[] = []
  for (const endpoint of endpoints) {
    const remote = offer.endpoints.find(({ address }) => address.transport === endpoint.transport)
    const reach =
      remote === undefined
        ? { usable: false, why: `the peer offers no ${endpoint.transport}` }
        : endpoint.reaches(remote.address)
    if (remote !== undefined && reach.usable) {
      const passed = refusals.length === 0 ? "first allowed path" : `after ${refusals.join("; ")}`
      return { endpoint, remote, why: `${endpoint.transport}: ${reach.why} (${passed})` }
    }
    refusals.push(`${endpoint.transport}: ${reach.why}`)
  }
  throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `no allowed path reaches ${offer.agentId}`,
    why: refusals.join("; ") || "no transport is open on this side",
    next: "allow more paths on both sides (--paths), or mend the one you want",
  })
}
