import { KvError, kvErrorFromRecord } from "../errors/kv-error.ts"
import type { KvLayout } from "../kv/kv-layout.ts"
import type { MemorySpan } from "../memory/host-memory.ts"
import type { IntegrityLevel, Party } from "../receipt/receipt.ts"
import type { Endpoint } from "../transport/transport.ts"
import { fingerprintBlocks, type StoredSequence } from "../verify/fingerprint.ts"
import { type Card, cardVersion } from "../wire/card.ts"
import { type EndpointCard, type Grant, grantVersion } from "../wire/grant.ts"
import { MessageChannel, type Received, refusalRecord } from "./channel.ts"
import { checkGrant } from "./check-grant.ts"
import { choosePath } from "./choose-path.ts"
import type { Clock, ControlChannel, ControlListener, ControlNetwork } from "./control-network.ts"
import { type AuthenticatedPeer, checkCredentials } from "./credentials.ts"
import { decideGrant } from "./decide-grant.ts"
import { greetAsCaller, greetAsListener } from "./greet.ts"
import { LeaseBook, type LeaseEnd } from "./lease-book.ts"
import { Peer } from "./peer.ts"
import { type PullOptions, Transfer } from "./transfer.ts"

/** What an agent is made of. It owns none of it: close the agent first, then endpoints, then memory. */
export interface AgentOptions {
  readonly party: Party
  /** Version of the package. */
  readonly software: string
  /** Hash over the model: agents of different models refuse each other. */
  readonly model: string
  /** At least 16 bytes that all agents of a cluster share. */
  readonly secret: Uint8Array
  readonly layout: KvLayout
  /** `spans[l]` is the region of layer l. */
  readonly spans: readonly MemorySpan[]
  /** Open fabrics, in the order of the path policy. */
  readonly endpoints: readonly Endpoint[]
  readonly network: ControlNetwork
  readonly clock: Clock
  /** Whether `lend` seals sequences with hashes. */
  readonly integrity: IntegrityLevel
}

/** Time for a whole handshake. */
const handshakeMillis = 10_000
/** Peers that may be connected in each direction. */
const peersMax = 256

/**
 * The side of a process that owns regions and talks to peers: it lends sequences of its pool, and pulls those of others.
 *
 * Register once (`openAgent`), then `listen` to be reached, `lend` what others may read, and `pull` what they lent.
 */
export class Agent implements AsyncDisposable {
  readonly card: Card
  readonly #options: AgentOptions
  readonly #endpoints: readonly EndpointCard[]
  readonly #leases: LeaseBook
  readonly #peers = new Map<string, Promise<Peer>>()
  readonly #callers = new Set<MessageChannel>()
  #listener: ControlListener | undefined
  #closed = false

  constructor(options: AgentOptions, endpoints: readonly EndpointCard[]) {
    this.#options = options
    this.#endpoints = endpoints
    this.#leases = new LeaseBook(options.clock)
    this.card = {
      version: cardVersion,
      ...options.party,
      software: options.software,
      model: options.model,
      layout: options.layout,
      transports: endpoints.map(({ address }) => address.transport),
    }
  }

  /** Leases that have not ended yet. */
  get openLeases(): number {
    return this.#leases.size
  }

  /** Listens for peers; port 0 takes a free one. @throws KvError KV_PORT_IN_USE, KV_OS. */
  async listen(host: string, port: number): Promise<{ readonly host: string; readonly port: number }> {
    this.#listener = await this.#options.network.listen(host, port, (channel) => void this.#serve(channel))
    return { host: this.#listener.host, port: this.#listener.port }
  }

  /**
   * Promises not to reuse blocks, and seals them with hashes at integrity "full".
   * @returns the lease's id, which a peer turns into a grant.
   * @throws KvError KV_LIMIT.
   */
  lend(offer: {
    readonly blocks: Uint32Array
    readonly tokens: number
    readonly lifetimeMillis: number
    readonly onEnd: (why: LeaseEnd) => void
  }): string {
    const fingerprints =
      this.#options.integrity === "full"
        ? fingerprintBlocks(this.#sequence(offer.blocks, offer.tokens))
        : undefined
    return this.#leases.lend({ ...offer, ...(fingerprints === undefined ? {} : { fingerprints }) }).id
  }

  /** Ends a lease from this side. Returns false when it had ended before. */
  withdraw(lease: string): boolean {
    return this.#leases.end(lease, "withdrawn")
  }

  /**
   * Reaches a peer at `host:port`: authenticates, compares cards, chooses a path and connects. Repeats are cheap.
   * @throws KvError KV_PEER_UNREACHABLE, KV_PEER_UNTRUSTED, KV_PEER_REFUSED, KV_TRANSPORT_UNAVAILABLE, KV_DEADLINE.
   */
  connect(address: string, timeoutMillis: number): Promise<Peer> {
    if (this.#closed) {
      return Promise.reject(new KvError("KV_CANCELLED", { what: "this agent was closed" }))
    }
    const known = this.#peers.get(address)
    if (known !== undefined) return known
    if (this.#peers.size >= peersMax) {
      const text = {
        what: `${peersMax} peers are connected already`,
        next: "close some, or start another worker",
      }
      return Promise.reject(new KvError("KV_LIMIT", text))
    }
    const connecting = this.#connect(address, timeoutMillis)
    this.#peers.set(address, connecting)
    connecting.catch(() => this.#forget(address, connecting))
    return connecting
  }

  /** Starts to pull a lent sequence into blocks of our pool. Its receipt tells how it ended. */
  pull(peer: Peer, options: PullOptions): Transfer {
    const side = {
      party: this.#options.party,
      clock: this.#options.clock,
      sequence: (blocks: Uint32Array, tokens: number) => this.#sequence(blocks, tokens),
      regions: this.#options.spans.map((_, layer) => layer),
    }
    return new Transfer(peer, side, options)
  }

  /** Leaves all peers and ends all leases. Endpoints and memory are their owners'. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#listener?.[Symbol.asyncDispose]()
    for (const channel of [...this.#callers]) channel.close()
    const peers = await Promise.allSettled(this.#peers.values())
    for (const peer of peers) if (peer.status === "fulfilled") peer.value.close()
    this.#leases.endAll("withdrawn")
  }

  #sequence(blocks: Uint32Array, tokens: number): StoredSequence {
    return { layout: this.#options.layout, spans: this.#options.spans, blocks, tokens }
  }

  #forget(address: string, peer: Promise<Peer>): void {
    if (this.#peers.get(address) === peer) this.#peers.delete(address)
  }

  async #connect(address: string, timeoutMillis: number): Promise<Peer> {
    const { host, port } = parseAddress(address)
    const { clock, network, secret, endpoints } = this.#options
    const deadline = clock.now() + timeoutMillis
    const channel = new MessageChannel(await network.connect(host, port, timeoutMillis))
    const greeting = { card: this.card, credentials: { secret }, clock }
    const greeted = await greetAsCaller(channel, {
      ...greeting,
      timeoutMillis: Math.max(1, deadline - clock.now()),
    })
    try {
      const grant = await askGrant(channel, clock, deadline)
      checkGrant(greeted.card, "read", grant)
      const path = choosePath(endpoints, { agentId: greeted.card.agentId, endpoints: grant.endpoints })
      const connection = await path.endpoint.connect(greeted.session, path.remote.address, {
        deadline,
        peerHost: channel.peerHost,
      })
      const self = this.#peers.get(address)
      return new Peer(greeted, channel, path, connection, clock, () => {
        if (self !== undefined) this.#forget(address, self)
      })
    } catch (thrown) {
      channel.close()
      throw thrown
    }
  }

  /** One peer that called us, from its first byte to its last. */
  async #serve(raw: ControlChannel): Promise<void> {
    const channel = new MessageChannel(raw)
    if (this.#closed || this.#callers.size >= peersMax) {
      return channel.close(new KvError("KV_LIMIT", { what: `this agent serves ${peersMax} peers already` }))
    }
    this.#callers.add(channel)
    let session: string | undefined
    let peer: AuthenticatedPeer | undefined
    const leave = (): void => {
      this.#callers.delete(channel)
      if (session === undefined) return
      // A dead reader's blocks come back; its streams are closed first, so that it reads nothing of the next owner.
      const holder = session
      void Promise.all(this.#options.endpoints.map((endpoint) => endpoint.dismiss(holder))).then(() =>
        this.#leases.endAllOf(holder, "peer lost"),
      )
    }
    try {
      const { clock, secret, endpoints } = this.#options
      await greetAsListener(channel, {
        card: this.card,
        credentials: { secret },
        clock,
        timeoutMillis: handshakeMillis,
        admit: async (admitted, caller) => {
          session = admitted.id
          peer = caller
          await Promise.all(
            endpoints.map((endpoint) => endpoint.admit(admitted, { read: true, write: false })),
          )
        },
      })
      const holder = session!
      const caller = peer!
      channel.listen((received) => this.#answer(channel, holder, caller, received), leave)
    } catch (thrown) {
      leave()
      if (!(thrown instanceof KvError)) throw thrown
    }
  }

  #answer(channel: MessageChannel, holder: string, peer: AuthenticatedPeer, { message }: Received): void {
    if (message.type === "ask-grant") {
      this.#try(channel, message.call, () => {
        const terms = decideGrant({
          peer,
          direction: message.direction,
          policy: { rights: { read: true, write: false }, lifetimeMillis: 3_600_000 },
          offered: this.#options.spans.map((_, region) => ({
            region,
            cache: "kv",
            access: { read: true, write: false },
          })),
          wallMillis: this.#options.clock.wallMillis(),
        })
        const { bootId } = this.card
        const grant = { version: grantVersion, bootId, ...terms, endpoints: this.#endpoints } as const
        channel.send({ type: "grant", call: message.call, grant })
      })
    } else if (message.type === "claim") {
      this.#try(channel, message.call, () => {
        const { tokens, blocks, fingerprints } = this.#leases.claim(message.lease, holder)
        const attachment = new Uint8Array(fingerprints?.buffer ?? new ArrayBuffer(0))
        const granted = {
          tokens,
          blocks: [...blocks],
          epochs: [...blocks].map(() => 0),
          access: "read",
        } as const
        channel.send({ type: "granted", call: message.call, ...granted }, attachment)
      })
    } else if (message.type === "release") {
      this.#try(channel, message.call, () => {
        this.#leases.claim(message.lease, holder)
        this.#leases.end(message.lease, "released")
        channel.send({ type: "released", call: message.call })
      })
    } else {
      channel.close(
        new KvError("KV_WIRE_INVALID", { what: `"${message.type}" has no place after the handshake` }),
      )
    }
  }

  #try(channel: MessageChannel, call: number, action: () => void): void {
    try {
      action()
    } catch (thrown) {
      if (!(thrown instanceof KvError)) throw thrown
      channel.send({ type: "refused", call, error: refusalRecord(thrown) })
    }
  }
}

/**
 * Opens an agent: registers every layer's region with every fabric.
 * @throws KvError KV_USAGE for a short secret; KV_LIMIT, KV_OS when a region cannot be registered.
 */
export async function openAgent(options: AgentOptions): Promise<Agent> {
  checkCredentials({ secret: options.secret })
  const endpoints: EndpointCard[] = []
  for (const endpoint of options.endpoints) {
    const regions = await Promise.all(
      options.spans.map((span, layer) => endpoint.register(layer, span, { read: true, write: false })),
    )
    endpoints.push({ address: endpoint.address, regions })
  }
  return new Agent(options, endpoints)
}

/** Asks for a grant, before anybody else speaks on the channel. */
function askGrant(channel: MessageChannel, clock: Clock, deadline: number): Promise<Grant> {
  return new Promise((resolve, reject) => {
    const cancelTimer = clock.after(Math.max(0, deadline - clock.now()), () => {
      reject(new KvError("KV_DEADLINE", { what: `${channel.peer} did not answer the question for a grant` }))
    })
    const end = (error: KvError): void => {
      cancelTimer()
      reject(error)
    }
    channel.listen(({ message }) => {
      if (message.type === "refused") return end(kvErrorFromRecord(message.error, "KV_PEER_REFUSED"))
      if (message.type !== "grant")
        return end(new KvError("KV_WIRE_INVALID", { what: `"${message.type}" is no grant` }))
      cancelTimer()
      channel.handOver([])
      resolve(message.grant)
    }, end)
    channel.send({ type: "ask-grant", call: 1, direction: "read" })
  })
}

/** @throws KvError KV_USAGE when it is not `host:port` or `[ipv6]:port`. */
function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:\s]+)):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65535) {
    throw new KvError("KV_USAGE", { what: `${JSON.stringify(address.slice(0, 100))} is not HOST:PORT` })
  }
  return { host: match[1] ?? match[2]!, port }
}
