import { KvError } from "../errors/kv-error.ts"
import type { KvLayout } from "../kv/kv-layout.ts"
import type { HostMemory, MemorySpan } from "../memory/host-memory.ts"
import { stampsOf } from "../memory/kv-pool.ts"
import type { IntegrityLevel, Party, TransferReceipt } from "../receipt/receipt.ts"
import type { Endpoint, RegionDescriptor, Rights } from "../transport/transport.ts"
import type { Hasher } from "../verify/hasher.ts"
import type { Card } from "../wire/card.ts"
import type { EndpointCard } from "../wire/grant.ts"
import { PreparedAttach } from "./attach.ts"
import { checkOffer, type Notice } from "./caller.ts"
import { Callers } from "./callers.ts"
import type { CallOptions } from "./calls.ts"
import type { Clock, ControlListener, ControlNetwork } from "./control-network.ts"
import { type Credentials, checkCredentials } from "./credentials.ts"
import { type Entropy, systemEntropy } from "./entropy.ts"
import type { GreetOptions } from "./greet.ts"
import type { HeldLease } from "./held-lease.ts"
import { LeaseBook, type LeaseTimes } from "./lease-book.ts"
import type { LeaseEnd, LeaseEvent, LeaseState } from "./lease-state.ts"
import type { LocalCache } from "./local-cache.ts"
import type { Peer } from "./peer.ts"
import { Peers } from "./peers.ts"
import { PreparedRead, type ReadRequest } from "./prepared-read.ts"
import { type PullOptions, startPull } from "./pull.ts"
import { type PushOptions, startPush } from "./push.ts"
import { openPolicy, type PathPolicy, type RefusedPath } from "./rank-paths.ts"
import { Seals } from "./seals.ts"
import { StampArena } from "./stamps.ts"
import type { Ticket } from "./ticket.ts"
import type { TicketEvent, TicketState } from "./ticket-state.ts"

/** What an agent is made of. It owns none of it: close the agent first, then endpoints, then memory. */
export interface AgentOptions {
  readonly party: Party
  /** Version of the package. */
  readonly software: string
  /** Hash over the model: agents of different models refuse each other. */
  readonly model: string
  readonly credentials: Credentials
  readonly layout: KvLayout
  /** `spans[l]` is the region of layer l. */
  readonly spans: readonly MemorySpan[]
  /** One 32-bit stamp for each block; their owner moves a block's stamp before it reuses the block. */
  readonly epochs: MemorySpan
  /** Open fabrics, in the order of the path policy. */
  readonly endpoints: readonly Endpoint[]
  readonly policy?: PathPolicy
  readonly network: ControlNetwork
  readonly clock: Clock
  readonly memory: HostMemory
  readonly hasher: Hasher
  /** What a transfer uses that asks for nothing; `full` when absent. */
  readonly integrity?: IntegrityLevel
  /** What no transfer goes below; `none` when absent. */
  readonly integrityFloor?: IntegrityLevel
  /** What peers may be granted of our regions; reading when absent. */
  readonly offers?: Rights
  readonly times?: Partial<AgentTimes>
  readonly entropy?: Entropy
  readonly onReceipt?: (receipt: TransferReceipt) => void
  readonly onNotice?: (notice: Notice) => void
  /** Hears what an operator should know. */
  readonly onWarning?: (text: string) => void
  /** Hears of every step of every machine. For simulations. */
  readonly onStep?: OnStep
}

/** Hears that a machine took a step. */
export interface OnStep {
  readonly ticket?: (from: TicketState, event: TicketEvent) => void
  readonly lease?: (from: LeaseState, event: LeaseEvent) => void
  readonly handshake?: GreetOptions["onStep"]
}

/** How long an agent waits for others. Milliseconds. */
export interface AgentTimes extends LeaseTimes {
  /** For a whole handshake. */
  readonly handshakeMillis: number
  /** Life of a grant; it is renewed at half of it, while both sides live. What is withdrawn counts for at most that long. */
  readonly grantMillis: number
}

/** The times of an agent that was told none. */
export const agentTimesDefault: AgentTimes = {
  holdMillis: 10_000,
  holdMillisMax: 3_600_000,
  handshakeMillis: 10_000,
  grantMillis: 300_000,
}

/** What is lent. */
export interface Offer {
  readonly blocks: Uint32Array
  readonly tokens: number
  /** `read` when absent: the blocks hold a sequence. `write`: the holder fills them. */
  readonly access?: "read" | "write"
  /** How long the offer waits to be claimed. */
  readonly lifetimeMillis: number
  /** Called once: from now on the blocks are the owner's again. */
  readonly onEnd: (why: LeaseEnd) => void
}

/**
 * The side of a process that owns regions and talks to peers: it lends sequences of its cache, reads those of others,
 * and writes where others let it.
 *
 * Open it (`openAgent`), then `listen` to be reached, `lend` what others may read or fill, `connect` to others.
 */
export class Agent implements AsyncDisposable {
  readonly card: Card
  readonly #options: AgentOptions
  readonly #cache: LocalCache
  readonly #entropy: Entropy
  readonly #leases: LeaseBook
  readonly #peers: Peers
  readonly #callers: Callers
  #listener: ControlListener | undefined
  #closing: Promise<void> | undefined

  constructor(options: AgentOptions, cache: LocalCache, endpoints: readonly EndpointCard[]) {
    const times = { ...agentTimesDefault, ...options.times }
    this.#options = options
    this.#cache = cache
    this.#entropy = options.entropy ?? systemEntropy
    this.card = {
      version: 2,
      ...options.party,
      software: options.software,
      model: options.model,
      layout: options.layout,
      transports: endpoints.map(({ address }) => address.transport),
      epochs: { region: options.spans.length },
    }
    const stamps = stampsOf(options.epochs, options.layout.blocks)
    this.#leases = new LeaseBook({
      clock: options.clock,
      times,
      fence: (holder) => this.#callers.fence(holder),
      ...(options.onStep?.lease === undefined ? {} : { onStep: options.onStep.lease }),
    })
    const handshake = options.onStep?.handshake
    const shared = {
      ...options,
      card: this.card,
      cache,
      times,
      entropy: this.#entropy,
      ...(handshake === undefined ? {} : { onHandshake: handshake }),
    }
    this.#callers = new Callers({
      ...shared,
      offers: options.offers ?? { read: true, write: false },
      cards: endpoints,
      leases: this.#leases,
      epochOf: (block) => Atomics.load(stamps, block) >>> 0,
      onNotice: (notice) => options.onNotice?.(notice),
      onWarning: (text) => options.onWarning?.(text),
    })
    this.#peers = new Peers(shared)
  }

  /** Leases that have not ended yet. */
  get openLeases(): number {
    return this.#leases.size
  }

  /** Peers that are connected, in either direction. */
  get connections(): { readonly peers: number; readonly callers: number } {
    return { peers: this.#peers.size, callers: this.#callers.size }
  }

  /** Listens for peers; port 0 takes a free one. @throws KvError KV_PORT_IN_USE, KV_OS. */
  async listen(host: string, port: number): Promise<{ readonly host: string; readonly port: number }> {
    const { network } = this.#options
    this.#listener = await network.listen(host, port, (channel) => void this.#callers.serve(channel))
    return { host: this.#listener.host, port: this.#listener.port }
  }

  /**
   * Promises not to reuse blocks. Hashes of a sequence are made beside, from now on, when transfers will want them.
   * @returns the lease's id, for the peer that will claim it.
   * @throws KvError KV_LIMIT, KV_USAGE when the blocks are not those of so many tokens.
   */
  lend(offer: Offer): string {
    const { blocks, tokens, access = "read" } = offer
    checkOffer(blocks, tokens, this.#options.layout.blockTokens)
    const id = Buffer.from(this.#entropy.bytes(16)).toString("hex")
    this.#leases.lend({ ...offer, id, access })
    // A peer will fill them: what they were sealed with says nothing of that.
    if (access === "write") this.#cache.seals.forget(blocks)
    const wanted = this.#cache.integrity === "full" || this.#cache.integrity === "sampled"
    if (access === "read" && wanted) {
      // Begun now, off the path of the transfer. A failure is told to the peer that asks for the seals.
      const { layout, spans, seals } = this.#cache
      seals.seal({ layout, spans, blocks, tokens }).catch(() => {})
    }
    return id
  }

  /** Ends a lease from this side. Returns false when it had ended before. */
  withdraw(lease: string): boolean {
    return this.#leases.withdraw(lease)
  }

  /**
   * Reaches a peer at `host:port`: authenticates, compares cards, chooses a path and connects. Repeats are cheap.
   * @throws KvError KV_PEER_UNREACHABLE, KV_PEER_UNTRUSTED, KV_PEER_REFUSED, KV_TRANSPORT_UNAVAILABLE, KV_DEADLINE.
   */
  connect(address: string, timeoutMillis: number): Promise<Peer> {
    if (this.#closing === undefined) return this.#peers.connect(address, timeoutMillis)
    return Promise.reject(new KvError("KV_CANCELLED", { what: "this agent was closed" }))
  }

  /** Claims a lease of a peer and keeps it alive until it is released. @throws KvError as `Peer.claim`. */
  claim(peer: Peer, lease: string, options: CallOptions): Promise<HeldLease> {
    return peer.claim(lease, options)
  }

  /** Plans a read under a held lease once, to be posted many times. @throws KvError as `PreparedRead`. */
  prepareRead(request: ReadRequest): PreparedRead {
    return new PreparedRead(this.#cache, request)
  }

  /** Maps the blocks of a held lease, to be used in place. @throws KvError as `PreparedAttach.make`. */
  prepareAttach(lease: HeldLease, integrity?: IntegrityLevel): Promise<PreparedAttach> {
    return PreparedAttach.make(this.#cache, lease, integrity)
  }

  /** Starts to claim, read, prove and release a lent sequence: one ticket for all of it. */
  pull(peer: Peer, options: PullOptions): Ticket {
    return startPull(this.#cache, peer, options)
  }

  /** Starts to claim a write lease, fill its blocks and have them proven: one ticket for all of it. */
  push(peer: Peer, options: PushOptions): Ticket {
    return startPush(this.#cache, peer, options)
  }

  /** Leaves all peers and ends all leases. Endpoints and memory are their owners'. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#listener?.[Symbol.asyncDispose]()
    await this.#peers[Symbol.asyncDispose]()
    await this.#callers[Symbol.asyncDispose]()
    this.#leases.withdrawAll()
    const { stamps } = this.#cache
    const closed = await Promise.allSettled(
      this.#options.endpoints.map((endpoint) => endpoint.deregister(stamps.region)),
    )
    // What a fabric may still write into stays mapped for as long as the process lives.
    if (closed.every(({ status }) => status === "fulfilled")) stamps[Symbol.dispose]()
  }
}

/**
 * Opens an agent: registers every layer's region, and the stamps, with every fabric.
 * @throws KvError KV_USAGE for credentials that let nobody in; KV_LIMIT, KV_OS when a region cannot be registered.
 */
export async function openAgent(options: AgentOptions): Promise<Agent> {
  checkCredentials(options.credentials)
  checkNames(options)
  const { layout, spans, hasher, clock, party, endpoints } = options
  const entropy = options.entropy ?? systemEntropy
  const layers = spans.length
  const offers = options.offers ?? { read: true, write: false }
  const stamps = new StampArena(options.memory, layers + 1)
  const epochs = stampsOf(options.epochs, layout.blocks)
  const registered: (() => Promise<void>)[] = []
  const policy = options.policy ?? openPolicy(endpoints)
  const refused: RefusedPath[] = []
  try {
    const cards: EndpointCard[] = []
    for (const endpoint of endpoints) {
      const before = registered.length
      const register = async (region: number, span: MemorySpan, access: Rights) => {
        const descriptor = await endpoint.register(region, span, access)
        registered.push(() => endpoint.deregister(region))
        return descriptor
      }
      try {
        const regions: RegionDescriptor[] = []
        for (const [layer, span] of spans.entries()) regions.push(await register(layer, span, offers))
        regions.push(await register(layers, options.epochs, { read: true, write: false }))
        await register(stamps.region, stamps.mapping, { read: false, write: false })
        cards.push({ address: endpoint.address, regions })
      } catch (thrown) {
        // A fabric that cannot carry this memory leaves its place to the next; whatever else went wrong is an end.
        if (!(thrown instanceof KvError) || thrown.code !== "KV_USAGE") throw thrown
        for (const deregister of registered.splice(before)) await deregister()
        refused.push({ transport: endpoint.transport, error: thrown })
      }
    }
    checkCarried(refused, policy, cards.length)
    for (const { transport, error } of refused) {
      options.onWarning?.(`the path ${transport} is not used: ${error.message}`)
    }
    const prefix = Buffer.from(entropy.bytes(4)).toString("hex")
    let tickets = 0
    const cache: LocalCache = {
      party,
      clock,
      layout,
      spans,
      hasher,
      stamps,
      seals: new Seals(hasher, (block) => Atomics.load(epochs, block) >>> 0),
      integrity: options.integrity ?? "full",
      integrityFloor: options.integrityFloor ?? "none",
      random: (below) => entropy.below(below),
      ticketId: () => prefix + (tickets++ >>> 0).toString(16).padStart(8, "0"),
      onStep: options.onStep?.ticket,
      onReceipt: options.onReceipt,
    }
    const carrying = endpoints.filter(
      ({ transport }) => !refused.some((path) => path.transport === transport),
    )
    const used = { ...policy, refused: [...policy.refused, ...refused] }
    return new Agent({ ...options, endpoints: carrying, policy: used }, cache, cards)
  } catch (thrown) {
    // The endpoints are not ours: what was registered must not keep the next agent from them.
    for (const deregister of registered) await deregister()
    stamps[Symbol.dispose]()
    throw thrown
  }
}

/** @throws KvError KV_TRANSPORT_UNAVAILABLE when a required path, or every one, cannot carry the memory. */
function checkCarried(refused: readonly RefusedPath[], { required }: PathPolicy, left: number): void {
  const missing = refused.find(({ transport }) => required?.includes(transport) === true)
  if (missing === undefined && (left > 0 || refused.length === 0)) return
  const { transport, error } = missing ?? refused[0]!
  throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `${transport} cannot carry this memory`,
    why: error.message,
    next:
      missing === undefined
        ? "allow another path"
        : "take the memory from the pool, or start without --require",
    cause: error,
  })
}

/** What peers would not read is refused here, where somebody can mend it. */
function checkNames({ party, software, model }: AgentOptions): void {
  const names = { "agent's name": party.agentId, model, software }
  for (const [what, name] of Object.entries(names)) {
    if (/^[\x21-\x7e]{1,128}$/.test(name)) continue
    throw new KvError("KV_USAGE", {
      what: `the ${what} is ${JSON.stringify(name.slice(0, 40))}`,
      why: "peers read 1 to 128 visible ASCII characters",
    })
  }
}
