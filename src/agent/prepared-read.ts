import { KvError } from "../errors/kv-error.ts"
import type { KvLayout } from "../kv/kv-layout.ts"
import { planTransfer } from "../plan/plan-transfer.ts"
import { stripe } from "../plan/stripe.ts"
import type { TransferPlan } from "../plan/transfer-plan.ts"
import { type IntegrityLevel, strongerIntegrity } from "../receipt/receipt.ts"
import type { PreparedMove } from "../transport/transport.ts"
import type { StoredSequence } from "../verify/fingerprint.ts"
import { hashUnitsOf, keepUnitsInside, type UnitSplit } from "../verify/hash-units.ts"
import type { HeldLease } from "./held-lease.ts"
import { type LocalCache, sequenceOf } from "./local-cache.ts"
import { checkSameHeads, needsHashes, proveEpochs, proveHashes } from "./proof.ts"
import type { SourcePeer } from "./source-peer.ts"
import { StampCheck } from "./stamps.ts"
import { Ticket, type TicketFacts, type TicketOptions, type TicketRun } from "./ticket.ts"

/** What is read, and where it goes. */
export interface ReadRequest {
  readonly lease: HeldLease
  /** Blocks of our cache that take the sequence. When a ticket has ended they may be used again. */
  readonly into: Uint32Array
  readonly integrity?: IntegrityLevel
  /** Called when the bytes are here and not yet proven. Fault injection plants its damage in it. */
  readonly onLanded?: (sequence: StoredSequence) => void
}

/** A read that was planned and checked once, and may be posted as often as its lease lasts: one post at a time. */
export class PreparedRead implements AsyncDisposable {
  /** Contiguous runs that move, and their sum. */
  readonly pieces: number
  readonly bytes: number
  readonly #cache: LocalCache
  readonly #request: ReadRequest
  readonly #level: IntegrityLevel
  readonly #move: PreparedMove
  readonly #stamps: StampCheck | undefined
  readonly #facts: Omit<TicketFacts, "id">
  /** Units that the fabric may hash while their bytes are still at hand, and their places. */
  readonly #early: UnitSplit | undefined
  #seals: BigUint64Array | undefined

  /**
   * @internal
   * @throws KvError KV_PLAN_IMPOSSIBLE, KV_PEER_REFUSED, KV_RKEY_REJECTED, KV_REGION_BOUNDS, KV_USAGE, KV_LIMIT.
   */
  constructor(cache: LocalCache, request: ReadRequest) {
    const { lease, into } = request
    const { peer, granted } = lease
    if (granted.access !== "read") {
      throw new KvError("KV_USAGE", { what: "a lease that was lent for writing cannot be read" })
    }
    this.#cache = cache
    this.#request = request
    this.#level = strongerIntegrity(request.integrity ?? cache.integrity, cache.integrityFloor)
    if (needsHashes(this.#level)) checkSameHeads(peer.card.layout, cache.layout, this.#level)
    const whole = planTransfer(
      {
        layout: peer.card.layout,
        regions: peer.layers.map(({ region }) => region),
        blocks: granted.blocks,
      },
      { layout: cache.layout, regions: cache.spans.map((_, layer) => layer), blocks: into },
      { to: granted.tokens },
    )
    const { endpoint } = peer.path
    const plan = stripe(whole, endpoint.rails, endpoint.railWeights)
    this.pieces = plan.pieces
    this.bytes = plan.bytes
    // Damage that is planted behind the landing must be found, so nothing is hashed before it.
    const early = this.#level === "full" && request.onLanded === undefined
    this.#early = early ? unitsInsidePieces(cache, granted.tokens, into, peer.card.layout, plan) : undefined
    this.#move = peer.connection.prepare({
      direction: "read",
      plan,
      remote: peer.layers,
      ...(this.#early === undefined ? {} : { hashes: this.#early.whole }),
    })
    try {
      const { blocks, epochs } = granted
      this.#stamps =
        this.#level === "none"
          ? undefined
          : new StampCheck(peer.connection, cache.stamps, { blocks, epochs, remote: peer.epochs })
    } catch (thrown) {
      void this.#move[Symbol.asyncDispose]()
      throw thrown
    }
    this.#facts = readFacts(cache, peer, this.#level, "copy")
  }

  /** Starts a transfer. */
  post(options: Omit<TicketOptions, "integrity"> = {}): Ticket {
    return new Ticket({ ...this.#facts, id: this.#cache.ticketId() }, options, async (run) => {
      run.tokens = this.#request.lease.granted.tokens
      run.step("grant")
      run.planned()
      await this.run(run, options.requestId)
      run.step("prove")
    })
  }

  /** @internal Moves and checks, for a ticket whose plan is made. The caller takes the step to "proven". */
  async run(run: TicketRun, requestId: string | undefined): Promise<void> {
    const { lease } = this.#request
    lease.check()
    run.pieces = this.pieces
    run.bytes = this.bytes
    const seals = needsHashes(this.#level) ? this.#sealed(run) : undefined
    // Looked at only once the bytes are here; when they never come, nobody asks how this ended.
    seals?.catch(() => {})
    run.step("post")
    run.move = this.#move
    const moved = await this.#move.post(run)
    run.rails = moved.rails.filter(({ bytes }) => bytes > 0)
    run.retries = moved.retries
    run.step("land")
    const sequence = sequenceOf(this.#cache, this.#request.into, lease.granted.tokens)
    this.#request.onLanded?.(sequence)
    if (this.#stamps !== undefined) await proveEpochs(run, lease, this.#stamps)
    lease.check()
    if (seals !== undefined) {
      await proveHashes(run, await seals, {
        level: this.#level,
        sequence,
        unitTokens: lease.peer.card.layout.blockTokens,
        hasher: this.#cache.hasher,
        random: (below) => this.#cache.random(below),
        ...(moved.hashes === undefined ? {} : { made: madeHashes(this.#early, moved.hashes) }),
        clock: this.#cache.clock,
        requestId,
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#move[Symbol.asyncDispose]()
    await this.#stamps?.[Symbol.asyncDispose]()
  }

  /** The seals do not change while the lease lasts: they are fetched once, while the bytes move. */
  async #sealed(run: TicketRun): Promise<BigUint64Array> {
    const { lease } = this.#request
    this.#seals ??= await lease.peer.seals(lease.id, run)
    return this.#seals
  }
}

/** The units of a sequence that lie whole in one piece of its plan: striping may have cut some in two. */
function unitsInsidePieces(
  cache: LocalCache,
  tokens: number,
  into: Uint32Array,
  source: KvLayout,
  plan: TransferPlan,
): UnitSplit | undefined {
  const regions = cache.spans.map((_, layer) => layer)
  const split = hashUnitsOf(sequenceOf(cache, into, tokens), source.blockTokens, regions)
  return split.whole.count === 0 ? undefined : keepUnitsInside(split, plan)
}

/** Hashes by their places. */
function madeHashes(split: UnitSplit | undefined, hashes: BigUint64Array): Map<number, bigint> {
  return new Map(Array.from(hashes, (hash, i) => [split!.places[i]!, hash]))
}

/** What a receipt says of any read under a lease. */
export function readFacts(
  cache: LocalCache,
  peer: SourcePeer,
  level: IntegrityLevel,
  mode: "copy" | "attach",
): Omit<TicketFacts, "id"> {
  const { pid, agentId, bootId } = peer.card
  return {
    clock: cache.clock,
    source: { pid, agentId, bootId },
    target: cache.party,
    transport: peer.path.endpoint.transport,
    why: peer.path.why,
    describe: peer.path.endpoint.describe?.bind(peer.path.endpoint),
    direction: "read",
    mode,
    level,
    layers: cache.layout.shape.layers,
    blockTokens: cache.layout.blockTokens,
    onStep: cache.onStep,
    onEnd: cache.onReceipt,
  }
}
