import { randomBytes } from "node:crypto"
import { KvError } from "../errors/kv-error.ts"
import type { Clock } from "./control-network.ts"

/** Why a lease ended. */
export type LeaseEnd = "released" | "expired" | "peer lost" | "withdrawn"

/** What an owner lends: the blocks of one stored sequence, and the hashes they had when it was sealed. */
export interface LeaseOffer {
  readonly blocks: Uint32Array
  readonly tokens: number
  /** One hash for each (layer, block position), or none. */
  readonly fingerprints?: BigUint64Array
  /** The blocks are not reused before this many milliseconds have passed, whatever happens. */
  readonly lifetimeMillis: number
  /** Called once: from now on the blocks are the owner's again. */
  readonly onEnd: (why: LeaseEnd) => void
}

/** A lease in force. `holder` is the peer that claimed it. */
export interface Lease extends LeaseOffer {
  readonly id: string
  holder: string | undefined
}

/** Leases that may be open at once. */
const leasesMax = 65_536

/** The source's promises not to reuse blocks: each ends once, by release, expiry, or the death of its holder. */
export class LeaseBook {
  readonly #clock: Clock
  readonly #open = new Map<string, { readonly lease: Lease; readonly cancelTimer: () => void }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#open.size
  }

  /** @throws KvError KV_LIMIT. */
  lend(offer: LeaseOffer): Lease {
    if (this.#open.size >= leasesMax) {
      throw new KvError("KV_LIMIT", {
        what: `${leasesMax} leases are open already`,
        next: "release some first",
      })
    }
    const lease: Lease = { ...offer, id: randomBytes(16).toString("hex"), holder: undefined }
    const cancelTimer = this.#clock.after(offer.lifetimeMillis, () => this.end(lease.id, "expired"))
    this.#open.set(lease.id, { lease, cancelTimer })
    return lease
  }

  /**
   * Binds a lease to the peer that asks for it.
   * @throws KvError KV_LEASE_UNKNOWN when it has ended, never was, or belongs to another peer.
   */
  claim(id: string, holder: string): Lease {
    const entry = this.#open.get(id)
    if (entry === undefined || (entry.lease.holder !== undefined && entry.lease.holder !== holder)) {
      throw new KvError("KV_LEASE_UNKNOWN", {
        what: `lease ${id.slice(0, 8)}… is not open`,
        why: entry === undefined ? "it has expired, was released, or never was" : "another peer holds it",
        next: "send the request again: its prompt must be computed anew",
      })
    }
    entry.lease.holder = holder
    return entry.lease
  }

  /** Ends a lease. Returns false when it had ended before. */
  end(id: string, why: LeaseEnd): boolean {
    const entry = this.#open.get(id)
    if (entry === undefined) return false
    this.#open.delete(id)
    entry.cancelTimer()
    entry.lease.onEnd(why)
    return true
  }

  /** Ends every lease that a peer holds. */
  endAllOf(holder: string, why: LeaseEnd): void {
    for (const { lease } of [...this.#open.values()]) if (lease.holder === holder) this.end(lease.id, why)
  }

  /** Ends every lease. */
  endAll(why: LeaseEnd): void {
    for (const id of [...this.#open.keys()]) this.end(id, why)
  }
}
