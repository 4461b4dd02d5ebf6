import { randomBytes } from "node:crypto"
import { asKvError, KvError } from "../errors/kv-error.ts"
import { blocksFor, type KvLayout } from "../kv/kv-layout.ts"
import { planTransfer } from "../plan/plan-transfer.ts"
import { stripe } from "../plan/stripe.ts"
import {
  type Difference,
  type IntegrityLevel,
  type Party,
  receiptSchema,
  type TransferReceipt,
} from "../receipt/receipt.ts"
import { fingerprintBlocks, type StoredSequence } from "../verify/fingerprint.ts"
import { firstDifferentBlock } from "../verify/first-difference.ts"
import type { Clock } from "./control-network.ts"
import type { Peer } from "./peer.ts"
import { isEnd, nextTicketState, type TicketEvent, type TicketState } from "./ticket-state.ts"

/** What a pull wants: the sequence behind a lease of a peer, in blocks of ours. */
export interface PullOptions {
  readonly requestId: string
  readonly trace: string
  /** The lease that the source's owner handed out. */
  readonly lease: string
  /** Tokens that the caller expects; another number is refused. */
  readonly tokens: number
  /** Blocks of our pool that take the sequence. When the ticket has ended they may be used again. */
  readonly blocks: Uint32Array
  readonly integrity: IntegrityLevel
  readonly timeoutMillis: number
  readonly signal?: AbortSignal
  /** Called when the bytes are here and not yet proven. Fault injection plants its damage in it. */
  readonly onLanded?: (sequence: StoredSequence) => void
}

/** This side of a transfer. */
export interface PullSide {
  readonly party: Party
  readonly clock: Clock
  readonly sequence: (blocks: Uint32Array, tokens: number) => StoredSequence
  readonly regions: readonly number[]
}

/** Times and counts that a receipt tells, filled in as they become known. */
interface Account {
  grantedAt: number
  plannedAt: number
  movedAt: number
  provenAt: number
  pieces: number
  bytes: number
  retries: number
  rails: readonly { readonly rail: number; readonly bytes: number }[]
  checked: number
  difference: Difference | undefined
}

/**
 * One transfer from a peer into our pool, from claim to proof.
 *
 * It always ends with a receipt, whatever happens: `receipt` never rejects. Once it has resolved, nothing of the
 * transfer writes into the target blocks any more.
 */
export class Transfer {
  readonly id = randomBytes(8).toString("hex")
  readonly receipt: Promise<TransferReceipt>
  readonly #side: PullSide
  readonly #options: PullOptions
  readonly #abort = new AbortController()
  readonly #startedAt: number
  readonly #deadline: number
  readonly #account: Account = {
    grantedAt: Number.NaN,
    plannedAt: Number.NaN,
    movedAt: Number.NaN,
    provenAt: Number.NaN,
    pieces: 0,
    bytes: 0,
    retries: 0,
    rails: [],
    checked: 0,
    difference: undefined,
  }
  #state: TicketState = "planned"

  constructor(peer: Peer, side: PullSide, options: PullOptions) {
    this.#side = side
    this.#options = options
    this.#startedAt = side.clock.now()
    this.#deadline = this.#startedAt + options.timeoutMillis
    const signals = options.signal === undefined ? [this.#abort.signal] : [this.#abort.signal, options.signal]
    this.receipt = this.#run(peer, AbortSignal.any(signals))
  }

  get state(): TicketState {
    return this.#state
  }

  /** Ends the transfer early; the receipt says when the target may be used again, by resolving. */
  cancel(): void {
    this.#abort.abort()
  }

  async #run(peer: Peer, signal: AbortSignal): Promise<TransferReceipt> {
    try {
      await this.#steps(peer, signal)
      return this.#finish(peer, undefined)
    } catch (thrown) {
      const error = asKvError(thrown, "KV_INTERNAL", "a transfer failed by a mistake of ours")
      // Nobody waits for this: the lease would also end by itself.
      peer.release(this.#options.lease, this.#side.clock.now() + 1000).catch(() => {})
      if (error.code === "KV_CANCELLED") this.#step("cancel")
      else this.#step(error.code === "KV_DEADLINE" ? "expire" : "fail")
      return this.#finish(peer, error)
    }
  }

  async #steps(peer: Peer, signal: AbortSignal): Promise<void> {
    const { lease, tokens, blocks } = this.#options
    const { clock } = this.#side
    throwIfAborted(signal)
    const grant = await peer.claim(lease, this.#deadline, signal)
    if (grant.tokens !== tokens) {
      throw new KvError("KV_PEER_REFUSED", {
        what: `the lease covers ${grant.tokens} tokens, the request has ${tokens}`,
        next: "report this: frontend and prefill worker disagree about one request",
      })
    }
    this.#step("grant")
    this.#account.grantedAt = clock.now()

    const target = this.#side.sequence(blocks, tokens)
    if (this.#options.integrity === "full") checkSameHeads(peer.card.layout, target.layout)
    const source = { layout: peer.card.layout, regions: regionsOf(peer), blocks: grant.blocks }
    const whole = planTransfer(
      source,
      { layout: target.layout, regions: this.#side.regions, blocks },
      { to: tokens },
    )
    const plan = stripe(whole, peer.path.endpoint.rails)
    this.#account.plannedAt = clock.now()
    this.#account.pieces = plan.pieces

    this.#step("post")
    const { regions: remote } = peer.path.remote
    const moved = await peer.connection.move({
      direction: "read",
      plan,
      remote,
      deadline: this.#deadline,
      signal,
    })
    this.#account.movedAt = clock.now()
    this.#account.bytes = moved.bytes
    this.#account.rails = moved.rails
    this.#account.retries = moved.retries
    this.#step("land")

    this.#options.onLanded?.(target)
    if (this.#options.integrity === "full")
      this.#compare(grant.fingerprints, source.layout.blockTokens, target)
    // The source confirms that the lease was in force until now: no block was reused while we read it.
    await peer.release(lease, this.#deadline, signal)
    this.#account.provenAt = clock.now()
    this.#step("prove")
    this.#step("deliver")
  }

  /** The source sealed its own blocks, so ours are hashed in units of its block size. */
  #compare(expected: BigUint64Array, unitTokens: number, target: StoredSequence): void {
    const positions = blocksFor(target.tokens, unitTokens)
    const wanted = target.layout.shape.layers * positions
    if (expected.length !== wanted) {
      throw new KvError("KV_PEER_REFUSED", {
        what: `integrity "full" was asked for, and the source sent ${expected.length} of ${wanted} hashes`,
        why: "it did not seal the sequence",
        next: 'start the prefill worker with integrity "full"',
      })
    }
    const found = fingerprintBlocks(target, unitTokens)
    this.#account.checked = found.length
    this.#account.difference = firstDifferentBlock(expected, found, positions)
    if (this.#account.difference === undefined) return
    const { layer, block } = this.#account.difference
    throw new KvError("KV_BYTES_DIFFER", {
      what: `layer ${layer}, block ${block} of request ${this.#options.requestId} differs from what the source sealed`,
      next: "do not use the answer; run `kvferry demo` on these two machines to see whether it happens again",
    })
  }

  #step(event: TicketEvent): void {
    this.#state = nextTicketState(this.#state, event)
  }

  #finish(peer: Peer, error: KvError | undefined): TransferReceipt {
    const account = this.#account
    const state = this.#state
    if (!isEnd(state)) throw new Error("a receipt is written at the end")
    const end = this.#side.clock.now()
    const span = (from: number, to: number): number =>
      Number.isNaN(from) ? 0 : Math.round(((Number.isNaN(to) ? end : to) - from) * 1000)
    const move = span(account.plannedAt, account.movedAt)
    const { layout, tokens } = this.#side.sequence(this.#options.blocks, this.#options.tokens)
    const { agentId, bootId, pid } = peer.card
    return {
      schema: receiptSchema,
      ticket: this.id,
      requestId: this.#options.requestId,
      trace: this.#options.trace,
      state,
      endedAt: new Date(this.#side.clock.wallMillis()).toISOString(),
      direction: "read",
      mode: "copy",
      source: { pid, agentId, bootId },
      target: this.#side.party,
      path: { transport: peer.path.endpoint.transport, why: peer.path.why, rails: account.rails },
      tokens,
      layers: layout.shape.layers,
      blocks: blocksFor(tokens, layout.blockTokens),
      pieces: account.pieces,
      bytes: account.bytes,
      micros: {
        grant: span(this.#startedAt, account.grantedAt),
        plan: span(account.grantedAt, account.plannedAt),
        post: 0,
        move,
        prove: span(account.movedAt, account.provenAt),
        total: span(this.#startedAt, end),
      },
      bytesPerSecond: account.bytes === 0 ? 0 : Math.round((account.bytes / Math.max(1, move)) * 1e6),
      retries: account.retries,
      integrity: {
        level: this.#options.integrity,
        checked: account.checked,
        epochs: 0,
        verdict:
          account.checked === 0 ? "unchecked" : account.difference === undefined ? "identical" : "different",
        ...(account.difference === undefined ? {} : { firstDifference: account.difference }),
      },
      ...(error === undefined ? {} : { error: error.toJSON() }),
    }
  }
}

/** Region ids of the peer in layer order: its card lists them so. */
const regionsOf = (peer: Peer): number[] => peer.path.remote.regions.map(({ region }) => region)

/** A seal covers all heads of the source: over a part of them, or over more, the hashes could never agree. */
function checkSameHeads(source: KvLayout, target: KvLayout): void {
  if (source.firstHead === target.firstHead && source.heads === target.heads) return
  const range = ({ firstHead, heads }: KvLayout): string => `${firstHead} to ${firstHead + heads - 1}`
  throw new KvError("KV_PEER_REFUSED", {
    what: `integrity "full" was asked for, and the source holds heads ${range(source)}, this side ${range(target)}`,
    why: "the source seals all its heads together",
    next: 'use integrity "none", or workers with the same heads',
  })
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted)
    throw new KvError("KV_CANCELLED", { what: "the transfer was cancelled before it began" })
}
