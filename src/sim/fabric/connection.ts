import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { checkMove } from "../../transport/check-move.ts"
import { preparedByRunning } from "../../transport/prepared-move.ts"
import type {
  Move,
  Moved,
  MoveRequest,
  PreparedMove,
  RegionDescriptor,
  Session,
} from "../../transport/transport.ts"
import { lostPeer, rejectedKey } from "./fabric-errors.ts"
import { SimMove } from "./move.ts"
import type { ConnectionPart, EndpointPart } from "./parts.ts"

/** Hardware gives up when nobody has answered for so long. A stream waits longer. */
const silenceMillis = { nic: 800, stream: 15_000, mapped: Number.POSITIVE_INFINITY } as const

/** A simulated way from one endpoint to another, as the caller holds it. */
export class SimConnection implements ConnectionPart {
  readonly transport: string
  readonly lost: Promise<Error>
  readonly local: EndpointPart
  readonly session: Session
  readonly #admittedBy: EndpointPart
  readonly #moves = new Set<SimMove>()
  #failure: KvError | undefined
  #lose!: (error: Error) => void

  constructor(local: EndpointPart, peer: EndpointPart, session: Session) {
    this.local = local
    this.#admittedBy = peer
    this.session = session
    this.transport = local.transport
    this.lost = new Promise((resolve) => {
      this.#lose = resolve
    })
    local.connections.add(this)
    peer.connections.add(this)
    if (peer.fabric.kind === "mapped") this.attach = (regions) => this.#attach(regions)
  }

  attach?: (regions: readonly RegionDescriptor[]) => Promise<ReadonlyMap<number, MemorySpan>>

  /** Whom it is to: the life that let us in, unless the fabric is one that forgets lives. */
  get peer(): EndpointPart {
    const { fabric } = this.#admittedBy
    if (this.#admittedBy.process.state !== "dead" || !fabric.lies("forgets-boots")) return this.#admittedBy
    return fabric.successorOf(this.#admittedBy) ?? this.#admittedBy
  }

  get silenceMillis(): number {
    return silenceMillis[this.local.fabric.kind]
  }

  get failed(): boolean {
    return this.#failure !== undefined
  }

  /** Moves that are under way. */
  get moving(): number {
    return this.#moves.size
  }

  /** Ends the connection here and now; the caller hears of it as news travels. */
  fail(error: KvError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.local.connections.delete(this)
    this.#admittedBy.connections.delete(this)
    const { fabric, process } = this.local
    const from = this.#admittedBy.process.host
    const stop = (): void => {
      for (const move of [...this.#moves]) move.stop(error)
    }
    const learn = (): void =>
      process.deliver(() => {
        stop()
        this.#lose(error)
      })
    // A mapping cannot be taken back: its reader stops when it has heard that it should. Others notice at once when
    // something is on its way.
    if (fabric.kind !== "mapped" && this.#moves.size > 0) {
      stop()
      learn()
    } else fabric.links.surely(from, process.host, () => process.state !== "dead", learn)
  }

  /** One of the two processes died. */
  processDied(endpoint: EndpointPart): void {
    const { fabric } = this.local
    if (endpoint === this.local) {
      this.#failure = lostPeer("this process died")
      this.#admittedBy.connections.delete(this)
      for (const move of this.#moves) move.vanish()
      return
    }
    // Mapped pages outlive their owner, and a host without power says nothing.
    if (fabric.kind === "mapped" || fabric.lies("forgets-boots") || fabric.links.isOff(endpoint.process.host))
      return
    this.fail(lostPeer("the peer's process ended"))
  }

  prepare(request: MoveRequest): PreparedMove {
    this.checkUsable(request)
    checkMove(request, this.local.regions)
    return preparedByRunning(request, (checked, options) => this.#run({ ...checked, ...options }))
  }

  async move(move: Move): Promise<Moved> {
    await using prepared = this.prepare(move)
    return await prepared.post(move)
  }

  [Symbol.asyncDispose](): Promise<void> {
    const ends = [...this.#moves].map((move) => move.ended)
    const error = lostPeer("this side closed the connection")
    for (const move of [...this.#moves]) move.stop(error)
    this.fail(error)
    return Promise.all(ends).then(() => {})
  }

  /** @throws what ended the connection; KV_PEER_UNTRUSTED. */
  checkUsable(request: MoveRequest): void {
    if (this.#failure !== undefined) {
      // Whoever tries to use it knows it then.
      this.#lose(this.#failure)
      throw this.#failure
    }
    const rights = this.peer.sessions.get(this.session.id)?.rights
    if (rights?.[request.direction] === true || this.local.fabric.lies("asks-nobody")) return
    // One who died has no sessions, and was not asked.
    if (this.peer.process.state === "dead") return
    throw new KvError("KV_PEER_UNTRUSTED", { what: `the peer did not grant a ${request.direction}` })
  }

  #run(move: Move): Promise<Moved> {
    this.checkUsable(move)
    const running = new SimMove(this, move)
    this.#moves.add(running)
    const over = (): void => void this.#moves.delete(running)
    running.ended.then(over)
    return running.result
  }

  #attach(regions: readonly RegionDescriptor[]): Promise<ReadonlyMap<number, MemorySpan>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const spans = new Map<number, MemorySpan>()
    for (const { region, rkeys } of regions) {
      const span = this.peer.regions.get(region)
      if (span === undefined || this.peer.keys.get(region) !== rkeys[0]) {
        return Promise.reject(rejectedKey(region, "the peer has no such region"))
      }
      spans.set(region, span)
    }
    return Promise.resolve(spans)
  }
}
