import { createHmac, randomBytes } from "node:crypto"
import type { HostMapping } from "../../memory/host-memory.ts"
import type { Crew } from "../../movers/crew.ts"
import { openCrew } from "../../movers/thread-crew.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { stripe } from "../../plan/stripe.ts"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import { openPaths } from "../../serve/transports.ts"
import type {
  Connection,
  Endpoint,
  EndpointAddress,
  Moved,
  PreparedMove,
  RegionDescriptor,
  Rights,
  Session,
} from "../../transport/transport.ts"
import { decodePieces, type Pieces } from "../driver/columns.ts"
import type { Answers, CacheShape, Capability, Questions } from "../driver/protocol.ts"
import type { DrivenAgent, PreparedTransfer, RunningTransfer, TransferEnd } from "./driven-agent.ts"
import type { DriverOptions } from "./driver-options.ts"
import { endOf, known, usage } from "./engine-words.ts"

const capabilities: readonly Capability[] = [
  "read",
  "write",
  "pieces",
  "cancel",
  "deadline",
  "concurrent",
  "peers",
  "deregister",
  "receipts",
  "refuses-paths",
  "peer-death",
]

const both: Rights = { read: true, write: true }
const connectMillis = 10_000

/** What a peer's card says at this level. The session's key is no part of it: both sides make it from their secret. */
interface PiecesCard {
  readonly host: string
  readonly session: string
  readonly address: EndpointAddress
  readonly regions: readonly RegionDescriptor[]
}

interface ReachedPeer {
  readonly card: PiecesCard
  readonly connection: Connection
  /** True once the connection carries nothing more: a write that was stopped half way closes its streams, say. */
  lost: boolean
}

/** One fabric of kvferry alone: its endpoint and its connections. */
export class PiecesAgent implements DrivenAgent {
  readonly about: string
  readonly capabilities = capabilities
  readonly files: readonly number[]
  readonly regionBytes: number
  readonly micros: Answers["open"]["micros"]
  readonly #crew: Crew
  readonly #endpoint: Endpoint
  readonly #descriptors: readonly RegionDescriptor[]
  readonly #host: string
  readonly #pathName: string
  readonly #secret: Uint8Array
  readonly #sessions = new Map<string, string>()
  readonly #peers = new Map<string, ReachedPeer>()

  static async open(
    { cache }: Questions["open"],
    options: DriverOptions,
    secret: Uint8Array,
  ): Promise<PiecesAgent> {
    const started = performance.now()
    const { paths, pathName, required, rdma, rails, host, encryption, threads } = options
    const crew = await openCrew({ threads: threads ?? rails })
    const { endpoints } = await openPaths(paths, {
      crew,
      rdma,
      rails,
      host,
      encryption,
      ...(required === undefined ? {} : { required }),
    })
    // At this level there is no policy that chooses for each peer: the best that opens is driven.
    const [endpoint, ...others] = endpoints
    for (const other of others) await other[Symbol.asyncDispose]()
    const opened = performance.now()
    const bytes = regionBytesOf(cache)
    const regions = Array.from({ length: cache.layers }, (_, region) =>
      hostMemory.map(bytes, `region-${region}`, { populate: true }),
    )
    const descriptors: RegionDescriptor[] = []
    for (const [region, span] of regions.entries()) {
      descriptors.push(await endpoint!.register(region, span, both))
    }
    const micros = { open: (opened - started) * 1000, register: (performance.now() - opened) * 1000 }
    return new PiecesAgent({
      crew,
      endpoint: endpoint!,
      regions,
      descriptors,
      host,
      pathName,
      secret,
      micros,
    })
  }

  private constructor(made: {
    readonly crew: Crew
    readonly endpoint: Endpoint
    readonly regions: readonly HostMapping[]
    readonly descriptors: readonly RegionDescriptor[]
    readonly host: string
    readonly pathName: string | undefined
    readonly secret: Uint8Array
    readonly micros: Answers["open"]["micros"]
  }) {
    this.#crew = made.crew
    this.#endpoint = made.endpoint
    this.#descriptors = made.descriptors
    this.#host = made.host
    this.#pathName = made.pathName ?? made.endpoint.transport
    this.#secret = made.secret
    this.micros = made.micros
    this.files = made.regions.map(({ fd }) => fd)
    this.regionBytes = made.regions[0]!.byteLength
    this.about = `lists of pieces over ${made.endpoint.transport}; rails ${made.endpoint.rails}`
  }

  async invite(peer: string): Promise<string> {
    const session = this.#session(randomBytes(16).toString("hex"))
    await this.#endpoint.admit(session, both)
    this.#sessions.set(peer, session.id)
    const card: PiecesCard = {
      host: this.#host,
      session: session.id,
      address: this.#endpoint.address,
      regions: this.#descriptors,
    }
    return JSON.stringify(card)
  }

  async connect(name: string, text: string): Promise<string> {
    const card = JSON.parse(text) as PiecesCard
    await this.#reach(name, card)
    return this.#pathName
  }

  async disconnect(name: string): Promise<void> {
    const session = this.#sessions.get(name)
    const peer = this.#peers.get(name)
    if (session === undefined && peer === undefined) throw usage(`there is no peer ${name}`)
    this.#sessions.delete(name)
    this.#peers.delete(name)
    await peer?.connection[Symbol.asyncDispose]()
    if (session !== undefined) await this.#endpoint.dismiss(session)
  }

  lend(): string {
    return ""
  }

  withdraw(): void {}

  reuse(): void {
    throw usage("a fabric alone has no stamps of blocks")
  }

  async prepare({ peer, direction, pieces }: Questions["prepare"]): Promise<PreparedTransfer> {
    const before = known(this.#peers, peer, "peer")
    // As an agent does at its next request.
    const { connection, card } = before.lost ? await this.#reach(peer, before.card) : before
    const { rails, railWeights } = this.#endpoint
    const plan = stripe(planOf(decodePieces(pieces), direction), rails, railWeights)
    const move = connection.prepare({ direction, plan, remote: card.regions })
    return {
      post: (timeoutMillis) => running(move, timeoutMillis, this.#pathName),
      release: async () => move[Symbol.asyncDispose](),
    }
  }

  notes(): Answers["notes"]["notes"] {
    return []
  }

  async deregister(): Promise<void> {
    for (const { region } of this.#descriptors) await this.#endpoint.deregister(region)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { connection } of this.#peers.values()) await connection[Symbol.asyncDispose]()
    await this.#endpoint[Symbol.asyncDispose]()
    await this.#crew[Symbol.asyncDispose]()
  }

  async #reach(name: string, card: PiecesCard): Promise<ReachedPeer> {
    const { host, session, address, regions } = card
    const reach = this.#endpoint.reaches(address)
    if (!reach.usable) throw usage(`${this.#pathName} does not reach ${name}: ${reach.why}`)
    await this.#peers.get(name)?.connection[Symbol.asyncDispose]()
    const connection = await this.#endpoint.connect(this.#session(session), address, {
      deadline: performance.now() + connectMillis,
      peerHost: host,
      regions,
    })
    const reached: ReachedPeer = { card, connection, lost: false }
    void connection.lost.then(() => {
      reached.lost = true
    })
    this.#peers.set(name, reached)
    return reached
  }

  #session(id: string): Session {
    return { id, key: createHmac("sha256", this.#secret).update(`judge session ${id}`).digest() }
  }
}

/** Bytes of one region: keys and values of all its blocks. */
export function regionBytesOf(cache: CacheShape): number {
  return cache.blocks * 2 * cache.blockTokens * cache.heads * cache.headDim * cache.elementBytes
}

function planOf(pieces: Pieces, direction: "read" | "write"): TransferPlan {
  const builder = new PlanBuilder(pieces.length.length)
  const { localRegion, localOffset, remoteRegion, remoteOffset, length } = pieces
  const [fromRegion, fromOffset, toRegion, toOffset] =
    direction === "read"
      ? [remoteRegion, remoteOffset, localRegion, localOffset]
      : [localRegion, localOffset, remoteRegion, remoteOffset]
  for (let i = 0; i < length.length; i++) {
    builder.add(fromRegion[i]!, fromOffset[i]!, toRegion[i]!, toOffset[i]!, length[i]!, 0)
  }
  return builder.finish()
}

function running(move: PreparedMove, timeoutMillis: number, path: string): RunningTransfer {
  const abort = new AbortController()
  const posted = post(move, { deadline: performance.now() + timeoutMillis, signal: abort.signal })
  const ended = posted.then((moved): TransferEnd => {
    const rails = moved.rails.filter(({ bytes }) => bytes > 0)
    const receipt = {
      bytes: moved.bytes,
      path,
      rails: rails.map(({ rail, bytes }) => ({ rail: String(rail), bytes })),
    }
    return { state: "done", receipt }
  })
  return { ended: ended.catch(endOf), cancel: () => abort.abort() }
}

/** A post that throws at once is one that has failed. */
async function post(move: PreparedMove, options: Parameters<PreparedMove["post"]>[0]): Promise<Moved> {
  return await move.post(options)
}
