import { KvError } from "../errors/kv-error.ts"
import { epochBytes } from "../memory/kv-pool.ts"
import { planTransfer } from "../plan/plan-transfer.ts"
import { stripe } from "../plan/stripe.ts"
import { PlanBuilder } from "../plan/transfer-plan.ts"
import { strongerIntegrity } from "../receipt/receipt.ts"
import type { Connection } from "../transport/transport.ts"
import { checkNote } from "./check-call.ts"
import type { HeldLease } from "./held-lease.ts"
import { type LocalCache, sequenceOf } from "./local-cache.ts"
import type { Peer } from "./peer.ts"
import { checkSameHeads, needsHashes } from "./proof.ts"
import { Ticket, type TicketOptions, type TicketRun } from "./ticket.ts"
import { untilOver } from "./until-over.ts"

/** What a push does: a sequence of ours goes into the blocks behind a write lease of a peer. */
export interface PushOptions extends TicketOptions {
  /** The lease that the target's owner handed out, lent for writing. */
  readonly lease: string
  /** Blocks of our cache that hold the sequence; they must not change before the ticket has ended. */
  readonly from: Uint32Array
  readonly tokens: number
  /** A text for the target's owner, told when the bytes have landed and are proven. */
  readonly note?: string
}

/** Claims a write lease, fills its blocks, and has their owner prove them: one ticket for all of it. */
export function startPush(cache: LocalCache, peer: Peer, options: PushOptions): Ticket {
  const level = strongerIntegrity(options.integrity ?? cache.integrity, cache.integrityFloor)
  const { pid, agentId, bootId } = peer.card
  const facts = {
    id: cache.ticketId(),
    clock: cache.clock,
    source: cache.party,
    target: { pid, agentId, bootId },
    transport: peer.path.endpoint.transport,
    why: peer.path.why,
    describe: peer.path.endpoint.describe?.bind(peer.path.endpoint),
    direction: "write",
    mode: "copy",
    level,
    layers: cache.layout.shape.layers,
    blockTokens: peer.card.layout.blockTokens,
    onStep: cache.onStep,
    onEnd: cache.onReceipt,
  } as const
  return new Ticket(facts, options, async (run) => {
    run.tokens = options.tokens
    checkNote(options.note)
    // The first one's: one that failed here and gave the lease back would take it from the one that writes.
    const done = peer.beginFilling(options.lease)
    let connection: Connection | undefined
    try {
      connection = await peer.writer(run)
      const held = await peer.claim(options.lease, run)
      checkLease(held, options)
      run.step("grant")
      if (needsHashes(level)) checkSameHeads(cache.layout, peer.card.layout, level)
      const sequence = sequenceOf(cache, options.from, options.tokens)
      const sealing = needsHashes(level) ? cache.seals.seal(sequence) : undefined
      sealing?.catch(() => {})
      await move(run, cache, connection, held, peer, options)
      held.check()
      const hashes = sealing === undefined ? new BigUint64Array(0) : await sealed(sealing, run, cache)
      const note = options.note === undefined ? {} : { note: options.note }
      const filled = { tokens: options.tokens, level, hashes, ...note }
      run.hashesChecked = await peer.landed(options.lease, filled, run)
      run.step("prove")
      done()
    } catch (thrown) {
      // Nobody waits for this: the lease would also end by itself, its writer fenced off.
      const stopped = run.state === "posted" ? connection : undefined
      giveBack(cache, peer, options.lease, stopped).then(done, done)
      throw thrown
    }
  })
}

/**
 * Gives a lease back that was not filled. What was `stopped` in mid-write may still have bytes on their way: only what
 * follows behind them over the same connection proves that they have arrived. Without it the lease is not released.
 */
async function giveBack(
  cache: LocalCache,
  peer: Peer,
  lease: string,
  stopped: Connection | undefined,
): Promise<void> {
  const deadline = cache.clock.now() + releaseMillis
  try {
    if (stopped !== undefined) await followBehind(cache, peer, stopped, deadline)
  } catch (thrown) {
    // Nor is it kept alive by us: its owner fences us off when it has run out.
    peer.abandon(lease)
    throw thrown
  }
  await peer.release(lease, { deadline })
}

/** Reads one stamp over each rail. @throws KvError as a move does. */
async function followBehind(
  cache: LocalCache,
  peer: Peer,
  connection: Connection,
  deadline: number,
): Promise<void> {
  const { rails } = peer.path.endpoint
  const { stamps } = cache
  const slot = stamps.take(rails * epochBytes)
  try {
    const builder = new PlanBuilder(rails)
    for (let rail = 0; rail < rails; rail++) {
      builder.add(peer.epochs.region, 0, stamps.region, slot.start + rail * epochBytes, epochBytes, rail)
    }
    const plan = builder.finish()
    await connection.move({ direction: "read", plan, remote: [peer.epochs], deadline })
  } finally {
    stamps.give(slot)
  }
}

const sealed = (sealing: Promise<BigUint64Array>, run: TicketRun, { clock }: LocalCache) =>
  untilOver(sealing, run, clock, "the hashing of the sequence")

/** Time for the answer to a release that nobody waits for. */
const releaseMillis = 1000

function checkLease({ granted }: HeldLease, { tokens }: PushOptions): void {
  if (granted.access !== "write") {
    throw new KvError("KV_USAGE", { what: "a lease that was lent for reading cannot be written" })
  }
  if (granted.tokens === tokens) return
  throw new KvError("KV_PEER_REFUSED", {
    what: `the lease has room for ${granted.tokens} tokens, the sequence has ${tokens}`,
    next: "report this: the two sides disagree about one request",
  })
}

async function move(
  run: TicketRun,
  cache: LocalCache,
  connection: Connection,
  { granted }: HeldLease,
  peer: Peer,
  options: PushOptions,
): Promise<void> {
  const whole = planTransfer(
    { layout: cache.layout, regions: cache.spans.map((_, layer) => layer), blocks: options.from },
    { layout: peer.card.layout, regions: peer.layers.map(({ region }) => region), blocks: granted.blocks },
    { to: options.tokens },
  )
  const { endpoint } = peer.path
  const plan = stripe(whole, endpoint.rails, endpoint.railWeights)
  run.pieces = plan.pieces
  run.bytes = plan.bytes
  run.planned()
  await using prepared = connection.prepare({ direction: "write", plan, remote: peer.layers })
  run.step("post")
  run.move = prepared
  const moved = await prepared.post(run)
  run.rails = moved.rails
  run.retries = moved.retries
  run.step("land")
}
