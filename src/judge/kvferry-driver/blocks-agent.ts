import type { HeldLease } from "../../agent/held-lease.ts"
import type { Peer } from "../../agent/peer.ts"
import { type Ticket, TicketFailed } from "../../agent/ticket.ts"
import { checkedLayout, type KvLayout, layerBytes } from "../../kv/kv-layout.ts"
import type { Cache, Lent } from "../../library/cache.ts"
import { type KvAgent, openAgent } from "../../library/open-agent.ts"
import type { IntegrityLevel, TransferReceipt } from "../../receipt/receipt.ts"
import type { Answers, Capability, EngineReceipt, Questions } from "../driver/protocol.ts"
import type { DrivenAgent, PreparedTransfer, RunningTransfer, TransferEnd } from "./driven-agent.ts"
import { type DriverOptions, integrityOf, ownRdma } from "./driver-options.ts"
import { endOf, known, usage } from "./engine-words.ts"
import { ownMemoryFiles } from "./own-files.ts"

const capabilities: readonly Capability[] = [
  "read",
  "write",
  "blocks",
  "notify",
  "cancel",
  "deadline",
  "concurrent",
  "peers",
  "deregister",
  "epochs",
  "heads",
  "receipts",
  "refuses-paths",
  "peer-death",
  "integrity",
]

/** What a peer's card says at this level. */
interface BlocksCard {
  readonly address: string
}

/** A lease of a peer, and how many transfers use it. */
interface Hold {
  readonly lease: Promise<HeldLease>
  users: number
}

/** kvferry as a program uses it: through the library. */
export class BlocksAgent implements DrivenAgent {
  readonly about: string
  readonly capabilities = capabilities
  readonly files: readonly number[]
  readonly regionBytes: number
  readonly micros: Answers["open"]["micros"]
  readonly #agent: KvAgent
  readonly #cache: Cache
  readonly #options: DriverOptions
  readonly #heard: Answers["notes"]["notes"][number][]
  readonly #peers = new Map<string, Peer>()
  readonly #lent = new Map<string, Lent>()
  readonly #holds = new Map<string, Hold>()

  static async open(
    { name, cache }: Questions["open"],
    options: DriverOptions,
    secret: Uint8Array,
  ): Promise<BlocksAgent> {
    const started = performance.now()
    const heard: Answers["notes"]["notes"][number][] = []
    const { paths, required, rdma, rails, host, integrity, floor, encryption, threads, holdMillis } = options
    const agent = await openAgent({
      name,
      model: "judge",
      credentials: { secret },
      paths,
      ...(required === undefined ? {} : { require: required }),
      rdma: ownRdma(rdma),
      rails,
      host,
      integrity: integrity ?? "full",
      ...(floor === undefined ? {} : { integrityFloor: floor }),
      encryption,
      ...(threads === undefined ? {} : { movers: { threads } }),
      // The judge itself must write into the memory of both sides: nothing is sealed against writers.
      offers: { read: true, write: true },
      ...(holdMillis === undefined ? {} : { times: { holdMillis } }),
      onNotice: ({ from, text }) => heard.push({ from, text }),
    })
    const opened = performance.now()
    const layout = checkedLayout({
      shape: {
        layers: cache.layers,
        kvHeads: cache.kvHeads,
        headDim: cache.headDim,
        elementBytes: cache.elementBytes,
      },
      order: "head-major",
      blockTokens: cache.blockTokens,
      blocks: cache.blocks,
      firstHead: cache.firstHead,
      heads: cache.heads,
    })
    const registered = await agent.registerCache({ layout })
    const micros = { open: (opened - started) * 1000, register: (performance.now() - opened) * 1000 }
    return new BlocksAgent(agent, registered, { options, heard, micros, layout })
  }

  private constructor(
    agent: KvAgent,
    cache: Cache,
    made: {
      readonly options: DriverOptions
      readonly heard: Answers["notes"]["notes"][number][]
      readonly micros: Answers["open"]["micros"]
      readonly layout: KvLayout
    },
  ) {
    this.#agent = agent
    this.#cache = cache
    this.#options = made.options
    this.#heard = made.heard
    this.micros = made.micros
    this.regionBytes = layerBytes(made.layout)
    this.files = Array.from({ length: made.layout.shape.layers }, (_, layer) => {
      const [file] = ownMemoryFiles(`kvferry-layer-${layer}`)
      if (file === undefined) throw usage(`the memory file of layer ${layer} is not to be found`)
      return file
    })
    this.about = `block tables over ${agent.paths.join(", ")}; integrity ${made.options.integrity ?? "full, or epoch between ranks with other heads"}`
    // Which blocks are used is the judge's to say: all are taken, and given back one moment when they are reused.
    cache.allocate(cache.free * made.layout.blockTokens)
  }

  async invite(): Promise<string> {
    const card: BlocksCard = { address: this.#cache.address }
    return JSON.stringify(card)
  }

  async connect(name: string, card: string): Promise<string> {
    const { address } = JSON.parse(card) as BlocksCard
    const peer = await this.#cache.connect(address)
    this.#peers.set(name, peer)
    return this.#options.pathName ?? peer.path.endpoint.transport
  }

  async disconnect(name: string): Promise<void> {
    const peer = known(this.#peers, name, "peer")
    this.#peers.delete(name)
    await peer[Symbol.asyncDispose]()
  }

  lend({ blocks, tokens, access }: Questions["lend"]): string {
    const lifetimeMillis = this.#options.leaseMillis
    const lent = this.#cache.lend(Uint32Array.from(blocks), { tokens, access, lifetimeMillis })
    this.#lent.set(lent.id, lent)
    void lent.ended.then(() => this.#lent.delete(lent.id))
    return lent.id
  }

  /** Resolves when the blocks are this side's again: a writer may have to be fenced off first. */
  async withdraw(offer: string): Promise<void> {
    // One that has ended by itself is nobody's mistake.
    const lent = this.#lent.get(offer)
    lent?.withdraw()
    await lent?.ended
  }

  reuse(blocks: readonly number[]): void {
    const given = Uint32Array.from(blocks)
    this.#cache.release(given)
    const taken = this.#cache.allocate(given.length * this.#cache.layout.blockTokens)
    if (taken.join() !== given.join())
      throw usage("the allocator handed out other blocks than were given back")
  }

  async prepare(question: Questions["prepare"]): Promise<PreparedTransfer> {
    const peer = known(this.#peers, question.peer, "peer")
    if (question.sequence === undefined) throw usage("a transfer of blocks needs its sequence")
    if (question.direction === "write") return this.#prepareWrite(peer, question)
    return this.#options.pull ? this.#preparePull(peer, question) : this.#prepareRead(peer, question)
  }

  notes(): Answers["notes"]["notes"] {
    return this.#heard.splice(0)
  }

  /** The library takes memory back by closing the cache. What the judge has mapped stays. */
  async deregister(): Promise<void> {
    await this.#cache[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent[Symbol.asyncDispose]()
  }

  #prepareWrite(peer: Peer, { sequence, note, integrity }: Questions["prepare"]): PreparedTransfer {
    const { offer, blocks, tokens } = sequence!
    const level = this.#level(peer, integrity)
    const from = Uint32Array.from(blocks)
    const more = { ...level, ...(note === undefined ? {} : { note }) }
    return {
      post: (timeoutMillis) =>
        this.#running(() => this.#cache.write(peer, { lease: offer, from, tokens, timeoutMillis, ...more })),
      release: async () => {},
    }
  }

  #preparePull(peer: Peer, { sequence, note, integrity }: Questions["prepare"]): PreparedTransfer {
    const { offer, blocks, tokens } = sequence!
    const level = this.#level(peer, integrity)
    const into = Uint32Array.from(blocks)
    const more = { ...level, ...(note === undefined ? {} : { note }) }
    return {
      post: (timeoutMillis) =>
        this.#running(() => this.#cache.read(peer, { lease: offer, into, tokens, timeoutMillis, ...more })),
      release: async () => {},
    }
  }

  async #prepareRead(
    peer: Peer,
    { peer: name, sequence, note, integrity }: Questions["prepare"],
  ): Promise<PreparedTransfer> {
    const { offer, blocks, tokens } = sequence!
    const level = this.#level(peer, integrity)
    const lease = await this.#hold(name, peer, offer)
    try {
      if (lease.granted.tokens !== tokens) {
        throw usage(`${lease.granted.tokens} tokens were lent, and ${tokens} are to be read`)
      }
      const read = this.#cache.prepareRead(lease, Uint32Array.from(blocks), level)
      const tell = note === undefined ? () => {} : () => this.#cache.notify(peer, note)
      return {
        post: (timeoutMillis) => this.#running(() => read.post({ timeoutMillis }), tell),
        release: async () => {
          await read[Symbol.asyncDispose]()
          await this.#letGo(name, offer)
        },
      }
    } catch (thrown) {
      await this.#letGo(name, offer)
      throw thrown
    }
  }

  /**
   * Hashes cover all heads of a rank: between ranks with other heads the strongest level is that of the stamps. kvferry refuses to
   * choose it by itself; a program does, and so does this one where nobody names a level.
   */
  #level({ card }: Peer, named: string | undefined): { readonly integrity?: IntegrityLevel } {
    const { firstHead, heads } = this.#cache.layout
    const same = card.layout.firstHead === firstHead && card.layout.heads === heads
    // What the agent was opened with is its own to remember.
    if (named === undefined && (same || this.#options.integrity !== undefined)) return {}
    return { integrity: integrityOf(named, "epoch") }
  }

  /** Claims a lease, once for all transfers that use it. */
  #hold(name: string, peer: Peer, offer: string): Promise<HeldLease> {
    const key = `${name} ${offer}`
    const hold = this.#holds.get(key) ?? { lease: this.#cache.claim(peer, offer), users: 0 }
    hold.users += 1
    this.#holds.set(key, hold)
    hold.lease.catch(() => this.#holds.delete(key))
    return hold.lease
  }

  /** Gives a lease back with the last transfer that used it. */
  async #letGo(name: string, offer: string): Promise<void> {
    const key = `${name} ${offer}`
    const hold = this.#holds.get(key)
    if (hold === undefined) return
    hold.users -= 1
    if (hold.users > 0) return
    this.#holds.delete(key)
    const lease = await hold.lease.catch(() => undefined)
    await lease?.[Symbol.asyncDispose]()
  }

  /** Starts a ticket. What it throws before it is one is how it ends. */
  #running(start: () => Ticket, delivered: () => void = () => {}): RunningTransfer {
    let ticket: Ticket
    try {
      ticket = start()
    } catch (thrown) {
      return { ended: Promise.resolve(endOf(thrown)), cancel: () => {} }
    }
    const ended = ticket.done.then(
      (receipt): TransferEnd => {
        delivered()
        return { state: "done", receipt: this.#receiptOf(receipt) }
      },
      (thrown: unknown): TransferEnd => ({
        ...endOf(thrown),
        ...(thrown instanceof TicketFailed ? { receipt: this.#receiptOf(thrown.receipt) } : {}),
      }),
    )
    return { ended: ended.catch(endOf), cancel: () => ticket.cancel() }
  }

  #receiptOf(receipt: TransferReceipt): EngineReceipt {
    const { bytes, path, integrity, source, target, direction, tokens, layers, blocks, ticket } = receipt
    return {
      bytes,
      path: this.#options.pathName ?? path.transport,
      rails: path.rails.map(({ rail, bytes: moved, device }) => ({
        rail: device ?? String(rail),
        bytes: moved,
      })),
      integrity: `${integrity.level} ${integrity.verdict}`,
      ...(integrity.firstDifference === undefined ? {} : { difference: integrity.firstDifference }),
      sequence: {
        source: source.agentId,
        target: target.agentId,
        direction,
        tokens,
        layers,
        blocks,
        hashes: integrity.checked,
        ticket,
      },
    }
  }
}
