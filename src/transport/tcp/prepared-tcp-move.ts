import { xxh64 } from "@node-rs/xxhash"
import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { toSharedMillis } from "../../os/clock.ts"
import { OnePost } from "../prepared-move.ts"
import type { Moved, MoveRequest, PostOptions, PreparedMove } from "../transport.ts"
import { expressBytesMax, expressPiecesMax } from "./express-desk.ts"
import { hashLanded } from "./landed-hashes.ts"
import type { MovingRails } from "./moving-rails.ts"
import { type DealtMove, dealMove, viewOfUnit } from "./rail-pieces.ts"
import { refusal } from "./refusal.ts"

let nextMove = 1
let nextPrepared = 1

/** A checked move. What the rails carry is worked out at its first post, and told to each mover once. */
export class PreparedTcpMove implements PreparedMove {
  readonly #connection: MovingRails
  readonly #request: MoveRequest
  readonly #once: boolean
  readonly #id = nextPrepared++
  readonly #posts = new OnePost()
  /** Our memory as it was checked: a region that was closed and opened again is another one. */
  readonly #spans: ReadonlyMap<number, MemorySpan>
  readonly #small: DealtMove | undefined
  #dealt: DealtMove | undefined
  #told = false

  /** @param once true when it is posted once and never disposed of. */
  constructor(connection: MovingRails, request: MoveRequest, once: boolean) {
    this.#connection = connection
    this.#request = request
    this.#once = once
    const { plan, direction } = request
    const { spans, desk, movers } = connection.owner
    this.#spans = usedSpans(request, spans)
    const small =
      desk !== undefined &&
      direction === "read" &&
      plan.pieces > 0 &&
      plan.pieces <= expressPiecesMax &&
      plan.bytes <= expressBytesMax
    if (small) this.#small = dealMove(request, spans, 1, connection.peerRails, () => 0)
    if (!once && !small) this.#dealt = this.#deal(movers.length)
  }

  post(options: PostOptions): Promise<Moved> {
    if (this.#small !== undefined && this.#connection.express !== undefined) {
      try {
        return this.#postSmall(this.#small, options)
      } catch (thrown) {
        return Promise.reject(thrown)
      }
    }
    return this.#posts.run(options, () => this.#run(options))
  }

  landed(): number {
    let bytes = 0
    for (const { moved } of this.#dealt?.parts.values() ?? []) bytes += moved[0]!
    return bytes
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#posts.ended
    if (!this.#told || this.#once) return
    this.#told = false
    for (const rail of this.#dealt!.parts.keys()) {
      this.#connection.owner.movers[rail]!.tellQuietly({ type: "forget", prepared: this.#id })
    }
  }

  async #run(options: PostOptions): Promise<Moved> {
    this.#connection.assertUsable()
    this.#assertSameMemory()
    const { plan } = this.#request
    const count = this.#connection.owner.movers.length
    if (plan.pieces === 0) return this.#moved([], undefined)
    this.#dealt ??= this.#deal(count)
    const dealt = this.#dealt
    const { parts } = dealt
    const bytesByRail = Array<number>(count).fill(0)
    for (const { moved } of parts.values()) moved[0] = 0
    await this.#wait([...parts.keys()], bytesByRail, options, (move, deadlineMillis) => {
      for (const [rail, pieces] of parts) {
        this.#connection.tell(rail, {
          type: "post",
          connection: this.#connection.id,
          move,
          prepared: this.#id,
          direction: this.#request.direction,
          deadlineMillis,
          once: this.#once,
          ...(this.#told ? {} : { pieces }),
        })
      }
      this.#told = true
    })
    return this.#moved(bytesByRail, dealt)
  }

  /** Reads on the calling thread, and hands over what takes longer than that thread waits. */
  #postSmall(dealt: DealtMove, options: PostOptions): Promise<Moved> {
    this.#posts.check(options)
    const connection = this.#connection
    connection.assertUsable()
    this.#assertSameMemory()
    const express = connection.express!
    const pieces = dealt.parts.get(0)!
    const end = express.read(pieces, options.deadline)
    const bytesByRail = [pieces.bytes, ...Array<number>(connection.owner.movers.length - 1).fill(0)]
    if (end.kind === "done") {
      if (pieces.hashes !== undefined)
        hashLanded(pieces.hashes, 0, pieces.count, (region) => this.#spans.get(region)!)
      return Promise.resolve(this.#moved(bytesByRail, dealt))
    }
    if (end.kind === "refused") {
      throw refusal("the peer", "read", pieces.bytes, end.status, end.piece)
    }
    if (end.kind === "broken") {
      const error = new KvError("KV_PEER_LOST", {
        what: "the express stream to the peer ended",
        why: end.why,
      })
      connection.streamLost(connection.expressRail, error)
      throw error
    }
    if (end.kind === "unsent") {
      // Whether the peer is gone is for the rails to find out; they are watched all the time.
      connection.releaseExpress()
      return this.#posts.run(options, () => this.#run(options))
    }
    connection.express = undefined
    pieces.moved[0] = 0
    const { batch } = express
    const { received, header } = end
    return this.#posts.run(options, async () => {
      await this.#wait([connection.expressRail], bytesByRail, options, (move, deadlineMillis) => {
        const id = connection.id
        connection.tell(connection.expressRail, {
          type: "express",
          connection: id,
          move,
          batch,
          pieces,
          deadlineMillis,
          received,
          header,
        })
      })
      return this.#moved(bytesByRail, dealt)
    })
  }

  /** Starts a move on some rails, and waits for the end of all of them. */
  async #wait(
    rails: readonly number[],
    bytesByRail: number[],
    { deadline, signal }: PostOptions,
    start: (move: number, deadlineMillis: number) => void,
  ): Promise<void> {
    const id = nextMove++
    const deadlineMillis = toSharedMillis(deadline)
    const done = new Promise<void>((resolve, reject) => {
      const move = { bytesByRail, railsLeft: new Set(rails), failure: undefined, resolve, reject }
      this.#connection.begin(id, move, () => start(id, deadlineMillis))
    })
    const cancel = (): void => this.#connection.cancel(id)
    signal?.addEventListener("abort", cancel, { once: true })
    try {
      await done
    } finally {
      signal?.removeEventListener("abort", cancel)
    }
  }

  #deal(rails: number): DealtMove {
    const { plan } = this.#request
    return dealMove(
      this.#request,
      this.#spans,
      rails,
      this.#connection.peerRails,
      (piece) => plan.rail[piece]! % rails,
    )
  }

  #assertSameMemory(): void {
    const { spans } = this.#connection.owner
    for (const [region, span] of this.#spans) {
      if (spans.get(region) === span) continue
      throw new KvError("KV_RKEY_REJECTED", {
        what: `this side closed region ${region} after the transfer was prepared`,
        next: "prepare the transfer again",
      })
    }
  }

  #moved(bytesByRail: readonly number[], dealt: DealtMove | undefined): Moved {
    const { plan, hashes } = this.#request
    const moved = {
      bytes: plan.bytes,
      pieces: plan.pieces,
      rails: bytesByRail.map((bytes, rail) => ({ rail, bytes })),
      retries: 0,
    }
    if (dealt?.results === undefined) return moved
    for (const unit of dealt.late) {
      dealt.results[unit] = xxh64(viewOfUnit(hashes!, unit, this.#spans), hashes!.seed[unit]!)
    }
    // A copy: the next post writes the shared one again.
    return { ...moved, hashes: new BigUint64Array(dealt.results) }
  }
}

function usedSpans(
  { plan, direction }: MoveRequest,
  spans: ReadonlyMap<number, MemorySpan>,
): Map<number, MemorySpan> {
  const local = direction === "read" ? plan.targetRegion : plan.sourceRegion
  const used = new Map<number, MemorySpan>()
  let last = -1
  for (let i = 0; i < plan.pieces; i++) {
    if (local[i] === last) continue
    last = local[i]!
    used.set(last, spans.get(last)!)
  }
  return used
}
