import { KvError } from "../errors/kv-error.ts"
import { type IntegrityLevel, strongerIntegrity } from "../receipt/receipt.ts"
import type { StoredSequence } from "../verify/fingerprint.ts"
import { checkNote } from "./check-call.ts"
import type { HeldLease } from "./held-lease.ts"
import type { LocalCache } from "./local-cache.ts"
import type { Peer } from "./peer.ts"
import { PreparedRead, readFacts } from "./prepared-read.ts"
import { Ticket, type TicketOptions, type TicketRun } from "./ticket.ts"

/** What a pull wants: the sequence behind a lease of a peer, in blocks of ours. */
export interface PullOptions extends TicketOptions {
  /** The lease that the source's owner handed out. */
  readonly lease: string
  /** Tokens that the caller expects; another number is refused. */
  readonly tokens?: number
  /** Blocks of our cache that take the sequence. When the ticket has ended they may be used again. */
  readonly into: Uint32Array
  /** A text for the source, told when the transfer is delivered. */
  readonly note?: string
  /** Called when the bytes are here and not yet proven. Fault injection plants its damage in it. */
  readonly onLanded?: (sequence: StoredSequence) => void
}

/**
 * Claims a lease, reads its sequence, proves it, and gives the lease back: one ticket for all of it.
 *
 * The source confirms at the end that the lease was in force until then, at every integrity level.
 */
export function startPull(cache: LocalCache, peer: Peer, options: PullOptions): Ticket {
  const level = strongerIntegrity(options.integrity ?? cache.integrity, cache.integrityFloor)
  const facts = readFacts(cache, peer, level, "copy")
  return new Ticket({ ...facts, id: cache.ticketId() }, options, async (run) => {
    run.tokens = options.tokens ?? 0
    checkNote(options.note)
    try {
      const held = await peer.claim(options.lease, run)
      await readUnder(held, cache, options, level, run)
      const note = options.note === undefined ? {} : { note: options.note }
      await peer.release(options.lease, { deadline: run.deadline, signal: run.signal, ...note })
      run.step("prove")
    } catch (thrown) {
      // Nobody waits for this: the lease would also end by itself.
      const deadline = cache.clock.now() + releaseMillis
      peer.release(options.lease, { deadline }).catch(() => {})
      throw thrown
    }
  })
}

/** Time for the answer to a release that nobody waits for. */
const releaseMillis = 1000

async function readUnder(
  held: HeldLease,
  cache: LocalCache,
  options: PullOptions,
  level: IntegrityLevel,
  run: TicketRun,
): Promise<void> {
  const { tokens } = held.granted
  if (options.tokens !== undefined && tokens !== options.tokens) {
    throw new KvError("KV_PEER_REFUSED", {
      what: `the lease covers ${tokens} tokens, the request has ${options.tokens}`,
      next: "report this: frontend and prefill worker disagree about one request",
    })
  }
  run.tokens = tokens
  run.step("grant")
  await using read = new PreparedRead(cache, {
    lease: held,
    into: options.into,
    integrity: level,
    ...(options.onLanded === undefined ? {} : { onLanded: options.onLanded }),
  })
  run.planned()
  await read.run(run, options.requestId)
}
