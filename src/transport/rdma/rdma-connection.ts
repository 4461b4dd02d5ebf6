import { KvError } from "../../errors/kv-error.ts"
import { checkMove } from "../check-move.ts"
import type {
  Connection,
  Move,
  Moved,
  MoveRequest,
  PreparedMove,
  RegionDescriptor,
  Rights,
} from "../transport.ts"
import { ConnectionLanes, type LanesListener } from "./connection-lanes.ts"
import type { LanePair, WorkFailure } from "./driver.ts"
import type { Welcome } from "./introduction.ts"
import type { Lane } from "./lane.ts"
import type { Lanes } from "./lanes.ts"
import type { MovingConnection, MovingOwner } from "./moving-connection.ts"
import { type MoveEnd, PendingMove } from "./pending-move.ts"
import { PreparedRdmaMove } from "./prepared-rdma-move.ts"
import type { AttachCommand, PostCommand, RailEvent } from "./rail-messages.ts"
import { SideCalls } from "./side-calls.ts"
import type { OpenRegion, RefusedRequest, SideMessage } from "./side-messages.ts"

/** Moves that may be under way on one connection at once. */
const movesMax = 1024
/** How long a peer may take to say what was wrong with a request. */
const whyMillisMax = 1000

/** What a connection needs of its endpoint. */
export interface ConnectionOwner extends MovingOwner {
  readonly transport: string
  readonly lanes: Lanes
  readonly window: AttachCommand["window"]
  readonly connections: Map<number, RdmaConnection>
  /** False where the fabric does not say what a peer's side rejects. */
  readonly tellsRefusals: boolean
}

/** The side that asks: lanes to one peer, and the channel beside them. */
export class RdmaConnection implements Connection, MovingConnection, LanesListener {
  readonly transport: string
  readonly id: number
  readonly session: string
  readonly owner: ConnectionOwner
  readonly lost: Promise<Error>
  readonly rights: Rights
  /** Rails of the peer, and how long its registrations are at most. */
  readonly peer: { readonly rails: number; readonly partBytes: number }
  /** Sorted by the local rail; a place stays a lane's own when it is mended. */
  readonly lanes: readonly Lane[]
  readonly #channel: Welcome["channel"]
  readonly #calls: SideCalls
  readonly #places: ConnectionLanes
  readonly #moves = new Map<number, PendingMove>()
  /** What the peer has open to us, where the fabric itself does not say what it refuses. */
  readonly #open = new Map<number, OpenRegion>()
  #failure: KvError | undefined
  #closed: Promise<void> | undefined
  #resolveLost!: (error: KvError) => void

  constructor(
    id: number,
    session: string,
    owner: ConnectionOwner,
    welcome: Welcome,
    pairs: readonly LanePair[],
  ) {
    const { channel, rights, rails, partBytes } = welcome
    this.id = id
    this.session = session
    this.owner = owner
    this.transport = owner.transport
    this.rights = rights
    this.peer = { rails: rails.length, partBytes }
    this.lanes = pairs.map(({ local, remote, weight }) => ({ localRail: local, remoteRail: remote, weight }))
    this.lost = new Promise((resolve) => {
      this.#resolveLost = resolve
    })
    this.#channel = channel
    this.#calls = new SideCalls(channel, (message) => this.#hear(message))
    this.#places = new ConnectionLanes(id, owner.lanes, this.#calls, owner.window, pairs, this)
    void channel.ended.then((why) =>
      this.#lose(
        new KvError("KV_PEER_LOST", {
          what: "the peer ended the connection, or is gone",
          why,
          next: "connect again; check the peer's log",
        }),
      ),
    )
  }

  /** @throws KvError KV_PEER_UNREACHABLE. */
  async open(): Promise<void> {
    try {
      await this.#places.open()
      this.assertUsable()
    } catch (thrown) {
      this.#lose(thrown as KvError)
      await this.#closed
      throw thrown
    }
  }

  /** True for each lane that carries work now. */
  get alive(): readonly boolean[] {
    return this.#places.alive
  }

  /** @throws KvError the reason why this connection can carry nothing more. */
  assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  prepare(request: MoveRequest): PreparedMove {
    return this.#prepare(request, false)
  }

  move(move: Move): Promise<Moved> {
    try {
      return this.#prepare(move, true).post(move)
    } catch (thrown) {
      return Promise.reject(thrown)
    }
  }

  /** Tells the rails of a move about it; resolves when it has ended on all of them. @throws KvError KV_LIMIT. */
  begin(
    posts: ReadonlyMap<number, PostCommand>,
    regions: readonly number[],
    remoteRegions: readonly number[],
  ): PendingMove {
    if (this.#moves.size >= movesMax) {
      throw new KvError("KV_LIMIT", { what: `${movesMax} transfers are under way on one connection already` })
    }
    const threads = [...posts].map(([rail, command]) => ({
      rail,
      thread: this.owner.running[rail]!.thread,
      command,
    }))
    const { move: id, deal } = [...posts.values()][0]!
    const move = new PendingMove(
      id,
      { local: regions, remote: remoteRegions },
      threads.map(({ rail }) => rail),
      deal,
      (error) => {
        for (const { thread } of threads) thread.tell({ type: "cancel", move: id, error })
      },
    )
    this.#moves.set(id, move)
    void move.ended.then(() => this.#moves.delete(id))
    for (const { rail, thread, command } of threads) {
      thread.tell(command)
      if (thread.gone) move.hear({ done: false }, rail)
    }
    return move
  }

  drop(prepared: number, rails: readonly number[]): void {
    for (const rail of rails) this.owner.running[rail]!.thread.tell({ type: "forget", prepared })
  }

  /** A rail takes no more part in a move, which may be another connection's. */
  hear(event: Extract<RailEvent, { type: "left" }>, rail: number): void {
    this.#moves.get(event.move)?.hear(event, rail)
  }

  /**
   * A rail's thread is gone, and what it had under way with it.
   * @param moveError what the moves under way fail with; what comes later fails with `error`.
   */
  railGone(rail: number, error: KvError, moveError = error): void {
    for (const move of [...this.#moves.values()]) move.abandon(moveError, rail)
    this.#lose(error)
  }

  /** Ends the moves that use one of our regions; resolves when nothing of them touches it any more. */
  async forget(region: number): Promise<void> {
    const error = new KvError("KV_RKEY_REJECTED", {
      what: `this side closed region ${region} while a transfer used it`,
      next: "prepare the transfer again",
    })
    await this.#cancel((move) => move.regions.local.includes(region), error)
  }

  /** Whether the peer has this open as the descriptor says. True also where the fabric itself will say so. */
  isOpen({ region, length, iova, rkeys }: RegionDescriptor, direction: "read" | "write"): boolean {
    if (this.owner.tellsRefusals) return true
    const open = this.#open.get(region)
    return (
      open?.rights[direction] === true &&
      length <= open.length &&
      iova === open.iova &&
      rkeys.length === open.rkeys.length &&
      rkeys.every((rkey, at) => rkey === open.rkeys[at])
    )
  }

  /** What was wrong with a request that the peer's NIC refused, in the peer's words. @throws KvError when it is gone. */
  async why(
    request: Omit<RefusedRequest, "call">,
  ): Promise<{ readonly code: MoveEnd; readonly what: string }> {
    const answer = await this.#calls.ask((call) => ({ type: "why", call, ...request }), whyMillisMax)
    if (answer?.type === "because" && isMoveEnd(answer.code)) return { code: answer.code, what: answer.what }
    if (answer === undefined) this.assertUsable()
    return { code: "KV_RKEY_REJECTED", what: "the peer did not say why" }
  }

  allDown(failure: WorkFailure | undefined): void {
    this.#lose(
      new KvError("KV_PEER_LOST", {
        what: `none of ${this.lanes.length} lanes to the peer carries anything any more`,
        why:
          failure === undefined
            ? "the peer closed its ends"
            : `${failure.status}, vendor code 0x${failure.vendorCode.toString(16)}; likely cause: ${failure.likelyCause}`,
        next: "check the links of both sides, and that the peer runs",
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lose(new KvError("KV_PEER_LOST", { what: "this side closed the connection" }))
    await this.#closed
  }

  #hear(message: SideMessage): void {
    if (message.type === "regions") for (const open of message.regions) this.#open.set(open.region, open)
    else if (message.type === "closing") void this.#letGo(message.call, message.region)
    else throw new KvError("KV_WIRE_INVALID", { what: `the peer sent "${message.type}"` })
  }

  async #letGo(call: number, region: number): Promise<void> {
    this.#open.delete(region)
    const error = new KvError("KV_RKEY_REJECTED", {
      what: `the peer closed its region ${region} while a transfer used it`,
      next: "fetch the peer's descriptors again",
    })
    await this.#cancel((move) => move.regions.remote.includes(region), error)
    this.#channel.send({ type: "left", call } satisfies SideMessage)
  }

  async #cancel(concerned: (move: PendingMove) => boolean, error: KvError): Promise<void> {
    const moves = [...this.#moves.values()].filter(concerned)
    for (const move of moves) move.cancel(error)
    await Promise.all(moves.map((move) => move.ended))
  }

  #prepare(request: MoveRequest, once: boolean): PreparedRdmaMove {
    this.assertUsable()
    checkMove(request, this.owner.book.spans)
    return new PreparedRdmaMove(this, request, once)
  }

  #lose(error: KvError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#channel.close(error.what)
    for (const { thread } of this.owner.running) {
      thread.tell({ type: "disconnect", connection: this.id, error: error.toJSON() })
    }
    this.#closed = (async () => {
      await this.#places.close()
      await Promise.all([...this.#moves.values()].map((move) => move.ended))
      this.owner.connections.delete(this.id)
    })()
    this.#resolveLost(error)
  }
}

const isMoveEnd = (code: string): code is MoveEnd =>
  code === "KV_RKEY_REJECTED" || code === "KV_PEER_UNTRUSTED" || code === "KV_REGION_BOUNDS"
