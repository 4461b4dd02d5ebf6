import { KvError } from "../errors/kv-error.ts"
import type { MemorySpan } from "../memory/host-memory.ts"
import { type IntegrityLevel, strongerIntegrity } from "../receipt/receipt.ts"
import type { Connection } from "../transport/transport.ts"
import type { StoredSequence } from "../verify/fingerprint.ts"
import type { HeldLease } from "./held-lease.ts"
import type { LocalCache } from "./local-cache.ts"
import { readFacts } from "./prepared-read.ts"
import { needsHashes, proveEpochs, proveHashes } from "./proof.ts"
import { StampCheck } from "./stamps.ts"
import { Ticket, type TicketOptions, type TicketRun } from "./ticket.ts"
import { untilOver } from "./until-over.ts"

/**
 * The source's blocks in place: nothing is copied. Use them, then `release()`.
 *
 * A mapping cannot be taken back, so what was read here counts only once the ticket is delivered: at the release the
 * stamps are looked at again, and if one has moved, what was computed from these blocks must be thrown away.
 */
export interface Attachment extends AsyncDisposable {
  readonly ticket: Ticket
  /** The source's layout, regions and blocks. Read-only: writing to one of these spans ends the process. */
  readonly sequence: StoredSequence
  /** Looks at the stamps again and ends the ticket. Resolves when the ticket has ended; `ticket.done` tells how. */
  release(): Promise<void>
}

/** An attachment that was checked once, and may be made as often as its lease lasts: one at a time. */
export class PreparedAttach implements AsyncDisposable {
  readonly sequence: StoredSequence
  readonly #cache: LocalCache
  readonly #lease: HeldLease
  readonly #level: IntegrityLevel
  readonly #stamps: StampCheck | undefined

  /**
   * @throws KvError KV_TRANSPORT_UNAVAILABLE when the path to the peer cannot share memory; KV_RKEY_REJECTED,
   * KV_PEER_LOST, KV_OS.
   */
  static async make(
    cache: LocalCache,
    lease: HeldLease,
    integrity: IntegrityLevel | undefined,
  ): Promise<PreparedAttach> {
    const { peer, granted } = lease
    const attach = attachOf(peer.connection, peer.path.why)
    const spans = await attach(peer.layers)
    const sequence = {
      layout: peer.card.layout,
      spans: peer.layers.map(({ region }) => spans.get(region)!),
      blocks: granted.blocks,
      tokens: granted.tokens,
    }
    return new PreparedAttach(
      cache,
      lease,
      strongerIntegrity(integrity ?? cache.integrity, cache.integrityFloor),
      sequence,
    )
  }

  private constructor(
    cache: LocalCache,
    lease: HeldLease,
    level: IntegrityLevel,
    sequence: StoredSequence & { readonly spans: readonly MemorySpan[] },
  ) {
    const { peer, granted } = lease
    this.#cache = cache
    this.#lease = lease
    this.#level = level
    this.sequence = sequence
    const request = { blocks: granted.blocks, epochs: granted.epochs, remote: peer.epochs }
    this.#stamps = level === "none" ? undefined : new StampCheck(peer.connection, cache.stamps, request)
  }

  /** Begins a use. The blocks may be read when this resolves. @throws TicketFailed. */
  async attach(options: Omit<TicketOptions, "integrity"> = {}): Promise<Attachment> {
    const facts = readFacts(this.#cache, this.#lease.peer, this.#level, "attach")
    let attached: () => void = () => {}
    let release: () => void = () => {}
    const began = new Promise<void>((resolve) => {
      attached = resolve
    })
    const used = new Promise<void>((resolve) => {
      release = resolve
    })
    const ticket = new Ticket({ ...facts, id: this.#cache.ticketId() }, options, (run) =>
      this.#live(run, options.requestId, attached, used),
    )
    await Promise.race([began, ticket.done])
    const end = async (): Promise<void> => {
      release()
      await ticket.receipt
    }
    return { ticket, sequence: this.sequence, release: end, [Symbol.asyncDispose]: end }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stamps?.[Symbol.asyncDispose]()
  }

  async #live(
    run: TicketRun,
    requestId: string | undefined,
    attached: () => void,
    used: Promise<void>,
  ): Promise<void> {
    const { peer, granted } = this.#lease
    run.tokens = granted.tokens
    run.step("grant")
    this.#lease.check()
    run.pieces = granted.blocks.length * peer.card.layout.shape.layers
    run.planned()
    run.step("post")
    if (this.#stamps !== undefined) await proveEpochs(run, this.#lease, this.#stamps)
    run.step("land")
    if (needsHashes(this.#level)) {
      await proveHashes(run, await peer.seals(this.#lease.id, run), {
        clock: this.#cache.clock,
        level: this.#level,
        sequence: this.sequence,
        unitTokens: peer.card.layout.blockTokens,
        hasher: this.#cache.hasher,
        random: (below) => this.#cache.random(below),
        requestId,
      })
    }
    attached()
    await untilOver(used, run, this.#cache.clock, "the use of the attached blocks")
    // What was read since then counts only if the blocks were still the same ones.
    if (this.#stamps !== undefined) await proveEpochs(run, this.#lease, this.#stamps)
    this.#lease.check()
    run.step("prove")
  }
}

function attachOf(connection: Connection, why: string): NonNullable<Connection["attach"]> {
  if (connection.attach !== undefined) return connection.attach.bind(connection)
  throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `blocks of this peer cannot be used in place over ${connection.transport}`,
    why,
    next: "allow the path shm on both sides, or read the blocks instead",
  })
}
