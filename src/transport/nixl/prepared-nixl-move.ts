import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { toSharedMillis } from "../../os/clock.ts"
import { OnePost } from "../prepared-move.ts"
import type { Moved, MoveRequest, PostOptions, PreparedMove } from "../transport.ts"
import type { RegionKey } from "./side-messages.ts"
import type { NixlCommand, NixlPieces } from "./thread-messages.ts"

let nextPrepared = 1
let nextMove = 1

/** What a move needs of its connection, on the main thread. */
export interface MoveOwner {
  readonly id: number
  readonly spans: ReadonlyMap<number, MemorySpan>
  assertUsable(): void
  tell(command: NixlCommand): void
  /** Waits for the end of a move that was just told. */
  ended(move: number, deadline: number): Promise<void>
}

/** A checked move. The thread is told its pieces once, and makes NIXL's lists of them. */
export class PreparedNixlMove implements PreparedMove {
  readonly #owner: MoveOwner
  readonly #request: MoveRequest
  readonly #id = nextPrepared++
  readonly #posts = new OnePost()
  /** Our memory as it was checked: a region that was closed and opened again is another one. */
  readonly #local: ReadonlyMap<number, MemorySpan>

  constructor(owner: MoveOwner, request: MoveRequest) {
    this.#owner = owner
    this.#request = request
    const { plan, direction } = request
    const reading = direction === "read"
    const localRegion = reading ? plan.targetRegion : plan.sourceRegion
    this.#local = new Map([...new Set(localRegion)].map((region) => [region, owner.spans.get(region)!]))
    if (plan.pieces === 0) return
    const pieces = piecesOf(request, this.#local)
    const used = new Set(pieces.remoteRegion)
    const regions = request.remote
      .filter(({ region }) => used.has(region))
      .map(({ region, rkeys }): RegionKey => [region, rkeys[0] ?? 0])
    const { id: connection } = owner
    owner.tell({ type: "prepare", prepared: this.#id, connection, direction, regions, pieces })
  }

  post(options: PostOptions): Promise<Moved> {
    return this.#posts.run(options, () => this.#run(options))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#posts.ended
    this.#owner.tell({ type: "forget", prepared: this.#id })
  }

  async #run({ deadline, signal }: PostOptions): Promise<Moved> {
    this.#owner.assertUsable()
    for (const [region, span] of this.#local) {
      if (this.#owner.spans.get(region) === span) continue
      throw new KvError("KV_RKEY_REJECTED", {
        what: `this side closed region ${region} after the transfer was prepared`,
        next: "prepare the transfer again",
      })
    }
    const { plan } = this.#request
    if (plan.pieces > 0) {
      const move = nextMove++
      const error = new KvError("KV_CANCELLED", { what: "the transfer was cancelled" }).toJSON()
      const cancel = (): void => this.#owner.tell({ type: "stopMove", move, error })
      this.#owner.tell({ type: "post", move, prepared: this.#id, deadlineMillis: toSharedMillis(deadline) })
      signal?.addEventListener("abort", cancel, { once: true })
      try {
        await this.#owner.ended(move, deadline)
      } finally {
        signal?.removeEventListener("abort", cancel)
      }
    }
    const rails = [{ rail: 0, bytes: plan.bytes }]
    return { bytes: plan.bytes, pieces: plan.pieces, rails, retries: 0 }
  }
}

/** `checkMove` has passed, so each place lies inside its region as far as this side knows it. */
function piecesOf({ plan, direction }: MoveRequest, spans: ReadonlyMap<number, MemorySpan>): NixlPieces {
  const reading = direction === "read"
  const localRegion = reading ? plan.targetRegion : plan.sourceRegion
  const localOffset = reading ? plan.targetOffset : plan.sourceOffset
  const starts = new Map([...spans].map(([region, span]) => [region, span.addressOf(0, span.byteLength)]))
  return {
    count: plan.pieces,
    bytes: plan.bytes,
    localRegion,
    localAddress: localOffset.map((offset, i) => starts.get(localRegion[i]!)! + offset),
    remoteRegion: reading ? plan.sourceRegion : plan.targetRegion,
    remoteOffset: reading ? plan.sourceOffset : plan.targetOffset,
    length: plan.length,
  }
}
