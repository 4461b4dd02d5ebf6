import { KvError } from "../errors/kv-error.ts"
import type { Rights } from "../transport/transport.ts"
import { type Grant, type GrantDirection, grantMillisMax } from "../wire/grant.ts"
import type { AuthenticatedPeer } from "./credentials.ts"

/** A region that this agent could grant. */
export interface GrantableRegion {
  readonly region: number
  /** Name of the cache that it belongs to: what `regions=` in a trust file speaks of. */
  readonly cache: string
  /** What it was registered for: no grant goes beyond. */
  readonly access: Rights
}

/** What this agent grants at most, whoever asks. */
export interface GrantPolicy {
  readonly rights: Rights
  /** Longest life of a grant; then the peer must ask again, and is looked up again. */
  readonly lifetimeMillis: number
}

/** One question for a grant. */
export interface GrantQuestion {
  /** The one who asks, as `vouchFor` knows it now: not as it was in the handshake. */
  readonly peer: AuthenticatedPeer
  readonly direction: GrantDirection
  readonly policy: GrantPolicy
  /** All that there is, in the order in which it is granted. */
  readonly offered: readonly GrantableRegion[]
  /** Now, in milliseconds since 1970. */
  readonly wallMillis: number
}

/** What a grant says before anybody adds addresses and keys. */
export type GrantTerms = Pick<Grant, "direction" | "regions" | "expiresMillis">

/**
 * Decides what a peer gets: what it asks for, as far as its entry, the policy and the regions all allow it.
 * @throws KvError KV_PEER_UNTRUSTED naming which of them does not. The peer may read these words.
 */
export function decideGrant({ peer, direction, policy, offered, wallMillis }: GrantQuestion): GrantTerms {
  const verb = direction === "read" ? "read from" : "write to"
  const refused = (why: string, next?: string): KvError =>
    new KvError("KV_PEER_UNTRUSTED", {
      what: `the peer may not ${verb} this agent`,
      why,
      ...(next === undefined ? {} : { next }),
    })
  if (!policy.rights[direction]) throw refused(`this agent grants no ${direction} to anybody`)
  if (!peer.rights[direction]) {
    throw refused(
      `its entry in the trust file does not say may=${direction}`,
      "change the entry, if it should",
    )
  }
  const expiresMillis = Math.floor(
    Math.min(policy.lifetimeMillis, grantMillisMax, (peer.until ?? Number.POSITIVE_INFINITY) - wallMillis),
  )
  if (!(expiresMillis >= 1)) throw refused("its entry in the trust file has ended")
  const { regions: caches } = peer
  const named = offered.filter(({ cache }) => caches === undefined || caches.includes(cache))
  const regions = named.filter(({ access }) => access[direction]).map(({ region }) => region)
  if (regions.length > 0) return { direction, regions, expiresMillis }
  throw refused(
    named.length > 0
      ? `no region was registered for a ${direction}`
      : offered.length === 0
        ? "no region is registered"
        : "its entry in the trust file names none of the regions that are here",
  )
}
