import { KvError } from "../errors/kv-error.ts"
import type { Clock } from "./control-network.ts"
import { isLeaseEnd, type LeaseEnd, type LeaseEvent, type LeaseState, nextLeaseState } from "./lease-state.ts"

/** What an owner lends: the blocks of one sequence, to be read, or to be filled. */
export interface LeaseOffer {
  readonly id: string
  readonly blocks: Uint32Array
  readonly tokens: number
  /** `read`: the blocks hold a sequence. `write`: the holder fills them, and says when they have landed. */
  readonly access: "read" | "write"
  /** How long the offer waits for somebody to claim it. */
  readonly lifetimeMillis: number
  /** Called once: from now on the blocks are the owner's again, and no honest peer touches them. */
  readonly onEnd: (why: LeaseEnd) => void
}

/** A lease in force. `holder` is the session that claimed it. */
export interface Lease extends LeaseOffer {
  readonly state: LeaseState
  readonly holder: string | undefined
}

/** How long promises hold. */
export interface LeaseTimes {
  /** A claimed lease ends this long after its holder was last heard of. */
  readonly holdMillis: number
  /** A claimed lease ends then even if its holder goes on asking for more. */
  readonly holdMillisMax: number
}

/** What a book needs of its agent. */
export interface LeaseBookOptions {
  readonly clock: Clock
  readonly times: LeaseTimes
  /** Keeps a session from writing; says whether it cannot any more. */
  readonly fence: (holder: string) => Promise<boolean>
  /** Hears of every step. For simulations, which count what was reached. */
  readonly onStep?: (from: LeaseState, event: LeaseEvent) => void
}

interface Entry {
  readonly offer: LeaseOffer
  state: LeaseState
  holder: string | undefined
  endsAtMost: number
  cancelTimer: () => void
}

/** Leases that may be open at once. */
export const leasesMax = 65_536

/**
 * The owner's promises not to reuse blocks: each ends once, by release, landing, expiry, or the death of its holder.
 *
 * A holder that is silent for `holdMillis` is taken for dead: its blocks come back. If it wakes up and still reads,
 * the stamps tell it that they are not its blocks any more; if it could still write, it is fenced off first.
 */
export class LeaseBook {
  readonly #options: LeaseBookOptions
  readonly #open = new Map<string, Entry>()

  constructor(options: LeaseBookOptions) {
    this.#options = options
  }

  /** Leases that have not ended; a write lease counts until its holder has been fenced off. */
  get size(): number {
    return this.#open.size
  }

  /** @throws KvError KV_LIMIT. */
  lend(offer: LeaseOffer): void {
    if (this.#open.size >= leasesMax) {
      throw new KvError("KV_LIMIT", {
        what: `${leasesMax} leases are open already`,
        next: "release some first",
      })
    }
    const entry: Entry = {
      offer,
      state: "offered",
      holder: undefined,
      endsAtMost: Number.POSITIVE_INFINITY,
      cancelTimer: () => {},
    }
    this.#open.set(offer.id, entry)
    this.#restart(entry, offer.lifetimeMillis)
  }

  /**
   * Binds a lease to the session that asks for it.
   * @throws KvError KV_LEASE_UNKNOWN when it has ended, never was, or belongs to another peer.
   */
  claim(id: string, holder: string): Lease {
    const entry = this.#entry(id, holder)
    const first = entry.state === "offered"
    // A read may be tried again. A second writer would still write when the first one's blocks are taken back.
    if (!first && entry.offer.access === "write") throw unknown(id, "its holder has claimed it already")
    this.#step(entry, "claim")
    if (first) {
      entry.holder = holder
      entry.endsAtMost = this.#options.clock.now() + this.#options.times.holdMillisMax
    }
    this.#restart(entry, this.#options.times.holdMillis)
    return { ...entry.offer, state: entry.state, holder }
  }

  /** The lease that a session holds. @throws KvError KV_LEASE_UNKNOWN. */
  held(id: string, holder: string): Lease {
    const entry = this.#entry(id, holder)
    if (entry.state !== "held") throw unknown(id, "it has not been claimed")
    return { ...entry.offer, state: entry.state, holder }
  }

  /** A holder's sign of life for some of its leases. Returns the ids that it does not hold any more. */
  renew(ids: readonly string[], holder: string): string[] {
    return ids.filter((id) => {
      const entry = this.#open.get(id)
      if (entry?.holder !== holder || entry.state !== "held") return true
      this.#step(entry, "renew")
      this.#restart(entry, this.#options.times.holdMillis)
      return false
    })
  }

  /** The holder gives a lease back. @throws KvError KV_LEASE_UNKNOWN when it was not its any more. */
  release(id: string, holder: string): void {
    const entry = this.#entry(id, holder)
    // One that was never claimed: its reader gave up before it began.
    if (entry.state === "offered") this.#step(entry, "claim")
    this.#end(entry, "release")
  }

  /** The holder has filled the blocks. @throws KvError KV_LEASE_UNKNOWN. */
  land(id: string, holder: string): void {
    const entry = this.#entry(id, holder)
    if (entry.state !== "held") throw unknown(id, "it has not been claimed")
    this.#end(entry, "land")
  }

  /** The owner takes a lease back. Returns false when it had ended before. */
  withdraw(id: string): boolean {
    const entry = this.#open.get(id)
    if (entry === undefined || isLeaseEnd(entry.state)) return false
    this.#end(entry, "withdraw")
    return true
  }

  /**
   * A session is over: what it held is the owner's again, but for what it was to fill if it may still be able to write:
   * those leases stay, and count, for good.
   */
  loseAllOf(holder: string, which: "all" | "reads" = "all"): void {
    for (const entry of [...this.#open.values()]) {
      if (entry.holder !== holder || entry.state !== "held") continue
      if (which === "all" || entry.offer.access === "read") this.#end(entry, "lose")
      else {
        entry.cancelTimer()
        this.#step(entry, "lose")
      }
    }
  }

  /** The owner takes every lease back. */
  withdrawAll(): void {
    for (const id of [...this.#open.keys()]) this.withdraw(id)
  }

  #entry(id: string, holder: string): Entry {
    const entry = this.#open.get(id)
    if (entry === undefined || isLeaseEnd(entry.state)) {
      throw unknown(id, "it has expired, was released, or never was")
    }
    if (entry.holder !== undefined && entry.holder !== holder) throw unknown(id, "another peer holds it")
    return entry
  }

  #restart(entry: Entry, millis: number): void {
    entry.cancelTimer()
    const left = Math.max(0, Math.min(millis, entry.endsAtMost - this.#options.clock.now()))
    entry.cancelTimer = this.#options.clock.after(left, () => this.#end(entry, "expire"))
  }

  #step(entry: Entry, event: LeaseEvent): void {
    const from = entry.state
    entry.state = nextLeaseState(from, event)
    this.#options.onStep?.(from, event)
  }

  #end(entry: Entry, event: LeaseEvent): void {
    const { holder, state } = entry
    entry.cancelTimer()
    this.#step(entry, event)
    const end = entry.state as LeaseEnd
    const finish = (): void => {
      this.#open.delete(entry.offer.id)
      entry.offer.onEnd(end)
    }
    // A reader that goes on is caught by the stamps. A writer that goes on would spoil what comes next.
    const mayStillWrite =
      state === "held" && entry.offer.access === "write" && (end === "expired" || end === "withdrawn")
    if (!mayStillWrite) finish()
    // A writer that nobody can stop keeps its blocks: they count as lent for as long as this process lives.
    else void this.#options.fence(holder!).then((stopped) => stopped && finish())
  }
}

function unknown(id: string, why: string): KvError {
  return new KvError("KV_LEASE_UNKNOWN", {
    what: `lease ${id.slice(0, 8)}… is not open`,
    why,
    next: "send the request again: its prompt must be computed anew",
  })
}
