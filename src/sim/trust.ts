import type { Credentials, TrustEntry, TrustList } from "../agent/credentials.ts"
import { identityOfSeed } from "../agent/key-pairs.ts"
import type { GrantDirection } from "../wire/grant.ts"
import type { CredentialKind } from "../wire/handshake-messages.ts"
import type { SimProcess } from "./process.ts"
import type { World } from "./world.ts"

/** How long after its end a grant may still be in use: the fabrics take a while to stop what runs. Milliseconds. */
const graceMillis = 15

interface Withdrawn {
  readonly at: number
  /** What the owner's clock of pauses showed then: a paused process ends no grant. */
  readonly pausedMillis: number
  readonly life: SimProcess | undefined
}

/** The trusted keys of one agent, as its operator keeps them: keys may be withdrawn, and put back. */
export class SimTrust implements TrustList {
  readonly source: string
  readonly #world: World
  readonly #entries: ReadonlyMap<string, TrustEntry>
  readonly #withdrawn = new Map<string, Withdrawn>()

  constructor(world: World, owner: string, entries: readonly TrustEntry[]) {
    this.#world = world
    this.source = `the trust file of ${owner}`
    this.#entries = new Map(entries.map((entry) => [entry.publicKey, entry]))
  }

  find(publicKey: string): TrustEntry | undefined {
    return this.#withdrawn.has(publicKey) ? undefined : this.#entries.get(publicKey)
  }

  /** Takes a key off the list. @param owner the process that goes by this list, if it is up. */
  withdraw(publicKey: string, owner: SimProcess | undefined): void {
    const pausedMillis = owner?.pausedMillis ?? 0
    this.#withdrawn.set(publicKey, { at: this.#world.now, pausedMillis, life: owner })
    this.#world.note("trust", `${this.source} loses ${this.#entries.get(publicKey)?.name ?? "a key"}`)
  }

  restore(publicKey: string): void {
    if (this.#withdrawn.delete(publicKey)) this.#world.note("trust", `${this.source} is whole again`)
  }

  /** Why the holder of a key may not touch the memory of `owner` now; undefined when it may. */
  objection(
    publicKey: string,
    direction: GrantDirection,
    owner: SimProcess,
    grantMillis: number,
  ): string | undefined {
    const entry = this.#entries.get(publicKey)
    if (entry === undefined) return `${this.source} never listed its key`
    if (!entry.may[direction]) return `${this.source} does not let it ${direction}`
    const withdrawn = this.#withdrawn.get(publicKey)
    if (withdrawn === undefined) return undefined
    const { at, pausedMillis, life } = withdrawn
    const since = this.#world.now - at
    const paused = owner.pausedMillis - (life === owner ? pausedMillis : 0)
    if (since - paused <= grantMillis + graceMillis) return undefined
    return `its key was withdrawn ${Math.round(since)} ms ago, and a grant lasts ${grantMillis} ms`
  }
}

/** What the agents of one cluster prove themselves with. */
export interface ClusterCredentials {
  readonly kind: CredentialKind
  /** The credentials of a member, and its trust list when the cluster has keys. */
  of(name: string): { readonly credentials: Credentials; readonly trust?: SimTrust }
  /** The public key of a member; undefined in a cluster without keys. */
  keyOf(name: string): string | undefined
}

/** Draws a cluster's secret, keys and rights. */
export function drawCredentials(world: World, names: readonly string[]): ClusterCredentials {
  const { shape: random } = world.random
  const kind = random.pick<CredentialKind>(["secret", "secret", "key", "both"])
  const secret = Uint8Array.from({ length: 32 }, () => random.below(256))
  if (kind === "secret") return { kind, of: () => ({ credentials: { secret } }), keyOf: () => undefined }
  const identities = new Map(
    names.map((name) => [name, identityOfSeed(Uint8Array.from({ length: 32 }, () => random.below(256)))]),
  )
  const trusts = new Map(
    names.map((name) => {
      const entries = [...identities]
        .filter(([other]) => other !== name)
        .map(([other, { publicKey }]) => ({
          publicKey,
          name: other,
          may: { read: true, write: random.chance(0.8) },
        }))
      return [name, new SimTrust(world, name, entries)]
    }),
  )
  return {
    kind,
    of: (name) => {
      const [identity, trust] = [identities.get(name)!, trusts.get(name)!]
      const credentials = { identity, trust, ...(kind === "both" ? { secret } : {}) }
      return { credentials, trust }
    },
    keyOf: (name) => identities.get(name)?.publicKey,
  }
}
