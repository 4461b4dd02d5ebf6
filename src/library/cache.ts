import type { Agent } from "../agent/agent.ts"
import type { PreparedAttach } from "../agent/attach.ts"
import type { HeldLease } from "../agent/held-lease.ts"
import type { LeaseEnd } from "../agent/lease-state.ts"
import type { Peer } from "../agent/peer.ts"
import type { PreparedRead } from "../agent/prepared-read.ts"
import type { PullOptions } from "../agent/pull.ts"
import type { PushOptions } from "../agent/push.ts"
import type { Ticket } from "../agent/ticket.ts"
import { KvError } from "../errors/kv-error.ts"
import { blocksFor, type KvLayout, kvStrides } from "../kv/kv-layout.ts"
import type { KvPool } from "../memory/kv-pool.ts"
import type { IntegrityLevel } from "../receipt/receipt.ts"

/** What is lent, and for how long it waits. */
export interface LendOptions {
  readonly tokens: number
  /** `read` when absent: the blocks hold a sequence. `write`: the holder fills them. */
  readonly access?: "read" | "write"
  /** How long the lease waits to be claimed: a minute when absent. */
  readonly lifetimeMillis?: number
}

/** A promise of ours not to reuse blocks. Hand `id` to the peer that shall claim it. */
export interface Lent {
  /** 32 hexadecimal digits that nobody can guess. */
  readonly id: string
  /** Resolves when the blocks are ours again, with the reason. They are not freed by that: `cache.free(blocks)`. */
  readonly ended: Promise<LeaseEnd>
  /** Takes the promise back. Returns false when it had ended before. */
  withdraw(): boolean
}

/** Time that a lent sequence waits for its reader. */
const lifetimeMillisDefault = 60_000
/** Time for an answer of a peer when nobody says otherwise. */
const answerMillisDefault = 10_000

/**
 * A paged KV cache that peers can read, and whose blocks can take what peers have.
 *
 * One region for each layer, `[blocks][block bytes]`, in memory that other processes of this machine can map.
 */
export class Cache implements AsyncDisposable {
  /** `host:port` of this agent: what a peer connects to. */
  readonly address: string
  readonly #agent: Agent
  readonly #pool: KvPool
  #closed = false

  /** @internal For `KvAgent.registerCache` alone. */
  constructor(agent: Agent, pool: KvPool, listening: { readonly host: string; readonly port: number }) {
    this.#agent = agent
    this.#pool = pool
    const { host, port } = listening
    this.address = `${host.includes(":") ? `[${host}]` : host}:${port}`
  }

  get layout(): KvLayout {
    return this.#pool.layout
  }

  /** Blocks that nobody has taken. */
  get free(): number {
    return this.#pool.allocator.free
  }

  /** Leases of ours that have not ended. */
  get openLeases(): number {
    return this.#agent.openLeases
  }

  /** Takes the blocks that `tokens` tokens need. @throws KvError KV_POOL_EXHAUSTED; nothing is taken then. */
  allocate(tokens: number): Uint32Array {
    return this.#pool.allocator.allocate(blocksFor(tokens, this.layout.blockTokens))
  }

  /**
   * Gives blocks back. Their stamps move now, so a peer that still reads them finds out.
   *
   * Not before a lease or a ticket that uses them has ended.
   */
  release(blocks: Uint32Array): void {
    this.#pool.allocator.release(blocks)
  }

  /**
   * The bytes of one layer's part of a block, in place: `[2][heads][blockTokens][headDim]` for head-major layouts,
   * `[2][blockTokens][heads][headDim]` for token-major ones.
   * @throws KvError KV_REGION_BOUNDS, KV_USAGE.
   */
  view(layer: number, block: number): Uint8Array<ArrayBuffer> {
    const span = this.#pool.spans[layer]
    if (span === undefined) {
      throw new KvError("KV_USAGE", { what: `layer ${layer} of ${this.#pool.spans.length} was asked for` })
    }
    const { block: bytes } = kvStrides(this.layout)
    return span.view(block * bytes, bytes)
  }

  /**
   * Promises not to reuse blocks until the lease has ended, and lets the peer that claims it read or fill them.
   *
   * Hashes of what is lent for reading are made from now on, beside the calling thread.
   * @throws KvError KV_LIMIT; KV_USAGE when the blocks are not those of so many tokens.
   */
  lend(blocks: Uint32Array, options: LendOptions): Lent {
    let end: (why: LeaseEnd) => void = () => {}
    const ended = new Promise<LeaseEnd>((resolve) => {
      end = resolve
    })
    const { tokens, access = "read", lifetimeMillis = lifetimeMillisDefault } = options
    const id = this.#agent.lend({ blocks, tokens, access, lifetimeMillis, onEnd: end })
    return { id, ended, withdraw: () => this.#agent.withdraw(id) }
  }

  /**
   * Reaches the agent at `host:port`: authenticates, compares caches, chooses a path. Repeats are cheap.
   * @throws KvError KV_PEER_UNREACHABLE, KV_PEER_UNTRUSTED, KV_PEER_REFUSED, KV_TRANSPORT_UNAVAILABLE, KV_DEADLINE.
   */
  connect(address: string, options: { readonly timeoutMillis?: number } = {}): Promise<Peer> {
    return this.#agent.connect(address, options.timeoutMillis ?? answerMillisDefault)
  }

  /**
   * Says something to a peer: a text of up to 4,096 characters, and bytes if there are any. Its agent hears it
   * (`onNotice`) in order with this peer's other messages, or not at all.
   * @throws KvError KV_PEER_LOST, KV_LIMIT.
   */
  notify(peer: Peer, text: string, attachment?: Uint8Array): void {
    peer.notify(text, attachment)
  }

  /**
   * Claims a lease of a peer and keeps it alive until it is released; `await using` releases it.
   * @throws KvError KV_LEASE_UNKNOWN, KV_PEER_LOST, KV_DEADLINE, KV_CANCELLED.
   */
  claim(
    peer: Peer,
    lease: string,
    options: { readonly timeoutMillis?: number; readonly signal?: AbortSignal } = {},
  ): Promise<HeldLease> {
    const deadline = performance.now() + (options.timeoutMillis ?? answerMillisDefault)
    return this.#agent.claim(peer, lease, { deadline, signal: options.signal })
  }

  /** Claims a lease, reads its sequence into our blocks, proves it, and gives the lease back: one ticket for it all. */
  read(peer: Peer, options: PullOptions): Ticket {
    return this.#agent.pull(peer, options)
  }

  /** Fills the blocks of a peer's write lease from ours, and has their owner prove them: one ticket for it all. */
  write(peer: Peer, options: PushOptions): Ticket {
    return this.#agent.push(peer, options)
  }

  /**
   * Plans a read under a held lease once; each `post()` of it is a ticket.
   * @throws KvError KV_PLAN_IMPOSSIBLE, KV_PEER_REFUSED, KV_REGION_BOUNDS, KV_USAGE.
   */
  prepareRead(
    lease: HeldLease,
    into: Uint32Array,
    options: { readonly integrity?: IntegrityLevel } = {},
  ): PreparedRead {
    return this.#agent.prepareRead({ lease, into, ...options })
  }

  /**
   * Maps a held lease's blocks, for reading them in place: nothing is copied. Only over `shm`.
   * @throws KvError KV_TRANSPORT_UNAVAILABLE when the path to the peer cannot.
   */
  prepareAttach(
    lease: HeldLease,
    options: { readonly integrity?: IntegrityLevel } = {},
  ): Promise<PreparedAttach> {
    return this.#agent.prepareAttach(lease, options.integrity)
  }

  /** Leaves all peers, ends all leases, and gives the memory back. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#agent[Symbol.asyncDispose]()
    this.#pool[Symbol.dispose]()
  }
}
