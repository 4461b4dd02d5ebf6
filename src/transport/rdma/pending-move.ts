import type { KvError, KvErrorRecord } from "../../errors/kv-error.ts"
import { kvErrorFromRecord } from "../../errors/kv-error.ts"
import { abandonDeal, type DealMemory } from "./deal.ts"
import type { FailedUnit, RailEvent } from "./rail-messages.ts"

/** The word of a rail that takes no more part in a move. */
type LeftEvent = Extract<RailEvent, { type: "left" }>

/** What a peer may say about a request that its NIC refused. */
export type MoveEnd = "KV_RKEY_REJECTED" | "KV_PEER_UNTRUSTED" | "KV_REGION_BOUNDS"

/** How a move ended on its rails. */
export type MoveOutcome =
  | { readonly kind: "done" }
  | { readonly kind: "refused"; readonly refused: FailedUnit }
  /** A rail went with a part of it, and nobody can say what became of that part. */
  | { readonly kind: "abandoned"; readonly error: KvError }
  | { readonly kind: "stopped"; readonly error: KvError | undefined; readonly lost: FailedUnit | undefined }

/** One post under way: it ends when one rail says that it is done, or when all rails have left it. */
export class PendingMove {
  readonly id: number
  /** The regions that it uses on either side. */
  readonly regions: { readonly local: readonly number[]; readonly remote: readonly number[] }
  /** Never rejects. After it nothing of the move touches memory, but for what `abandoned` says. */
  readonly ended: Promise<MoveOutcome>
  readonly #railsLeft: Set<number>
  readonly #deal: DealMemory
  readonly #tellRails: (error: KvErrorRecord) => void
  #abandoned: KvError | undefined
  #cancelled: KvError | undefined
  #error: KvError | undefined
  #refused: FailedUnit | undefined
  #lost: FailedUnit | undefined
  #resolve!: (outcome: MoveOutcome) => void

  constructor(
    id: number,
    regions: PendingMove["regions"],
    rails: readonly number[],
    deal: DealMemory,
    tellRails: (error: KvErrorRecord) => void,
  ) {
    this.id = id
    this.regions = regions
    this.#railsLeft = new Set(rails)
    this.#deal = deal
    this.#tellRails = tellRails
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** It is no longer wanted. The first reason stays; when nothing of it is under way any more it has ended. */
  cancel(error: KvError): void {
    if (this.#cancelled !== undefined) return
    this.#cancelled = error
    this.#tellRails(error.toJSON())
  }

  /** A rail of it is gone without a word; the others leave when they are told that their lanes end. */
  abandon(error: KvError, rail: number): void {
    if (!this.#railsLeft.has(rail)) return
    this.#abandoned ??= error
    abandonDeal(this.#deal)
    this.hear({ done: false }, rail)
  }

  hear({ done, refused, lost, error }: Omit<LeftEvent, "type" | "move">, rail: number): void {
    // One rail is enough to say so: every unit is proven.
    if (done) return this.#resolve({ kind: "done" })
    this.#refused ??= refused
    this.#lost ??= lost
    if (error !== undefined) this.#error ??= kvErrorFromRecord(error, "KV_PEER_LOST")
    this.#railsLeft.delete(rail)
    if (this.#railsLeft.size > 0) return
    if (this.#abandoned !== undefined) this.#resolve({ kind: "abandoned", error: this.#abandoned })
    else if (this.#refused !== undefined) this.#resolve({ kind: "refused", refused: this.#refused })
    else this.#resolve({ kind: "stopped", error: this.#cancelled ?? this.#error, lost: this.#lost })
  }
}
