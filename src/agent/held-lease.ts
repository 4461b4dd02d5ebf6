import { KvError } from "../errors/kv-error.ts"
import { checkNote } from "./check-call.ts"
import type { SourcePeer } from "./source-peer.ts"

/** What the owner of the blocks granted with a claim. */
export interface GrantedLease {
  readonly id: string
  readonly access: "read" | "write"
  readonly tokens: number
  /** Block ids in the owner's pool, in the order of the sequence. */
  readonly blocks: Uint32Array
  /** The stamp of each block while the lease is in force. */
  readonly epochs: Uint32Array
  /** The owner takes us for dead when it has not heard of us for that long. */
  readonly holdMillis: number
}

/**
 * A peer's promise not to reuse blocks, in our hands. It is kept alive until it is released.
 *
 * The promise holds until `validUntil` as this side can know it; a read that ends later has failed, whatever it read.
 */
export class HeldLease implements AsyncDisposable {
  readonly peer: SourcePeer
  readonly granted: GrantedLease
  #validUntil: number
  #ended: KvError | undefined
  readonly #now: () => number

  /** @param askedAt when the claim was sent: the owner's time began after it. */
  constructor(peer: SourcePeer, granted: GrantedLease, askedAt: number, now: () => number) {
    this.peer = peer
    this.granted = granted
    this.#validUntil = askedAt + granted.holdMillis
    this.#now = now
  }

  get id(): string {
    return this.granted.id
  }

  /** True while the promise is in force, as far as this side can know. */
  get inForce(): boolean {
    return this.#ended === undefined && this.peer.lost === undefined && this.#now() < this.#validUntil
  }

  /** @throws KvError KV_LEASE_UNKNOWN, KV_PEER_LOST when the promise is not in force any more. */
  check(): void {
    if (this.inForce) return
    throw (
      this.#ended ??
      this.peer.lost ??
      new KvError("KV_LEASE_UNKNOWN", {
        what: `lease ${this.id.slice(0, 8)}… has run out`,
        why: `${this.peer.card.agentId} has not confirmed it for ${this.granted.holdMillis} ms`,
        next: "claim it again, or send the request again",
      })
    )
  }

  /** The owner confirmed the lease in an answer to a question that was sent at `askedAt`. */
  renewed(askedAt: number): void {
    this.#validUntil = Math.max(this.#validUntil, askedAt + this.granted.holdMillis)
  }

  /** The owner says that the lease is over. */
  end(error: KvError): void {
    this.#ended ??= error
  }

  /**
   * Gives the blocks back, with a note for the owner if there is one.
   * @throws KvError KV_LEASE_UNKNOWN when it was not in force any more; KV_DEADLINE, KV_PEER_LOST.
   */
  async release(options: { readonly timeoutMillis?: number; readonly note?: string } = {}): Promise<void> {
    if (this.#ended !== undefined) return
    checkNote(options.note)
    this.end(
      new KvError("KV_LEASE_UNKNOWN", { what: `lease ${this.id.slice(0, 8)}… was released by this side` }),
    )
    await this.peer.release(this.id, {
      deadline: this.#now() + (options.timeoutMillis ?? releaseMillis),
      ...(options.note === undefined ? {} : { note: options.note }),
    })
  }

  /** Releases; an owner that is gone has its blocks back already. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release().catch((thrown: unknown) => {
      if (!(thrown instanceof KvError)) throw thrown
    })
  }
}

/** Time for an answer to a release. */
const releaseMillis = 5000
