import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { checkMove } from "../check-move.ts"
import { preparedByRunning } from "../prepared-move.ts"
import type { Connection, Move, Moved, MoveRequest, PreparedMove } from "../transport.ts"
import { type MoverEvent, type RailPieces, sharedMillis } from "./mover-messages.ts"
import type { MoverThread } from "./mover-thread-handle.ts"

/** Moves that may be under way on one connection at once. */
const movesMax = 1024

/** What a connection needs of its endpoint. */
export interface TcpOwner {
  readonly movers: readonly MoverThread[]
  readonly spans: ReadonlyMap<number, MemorySpan>
  readonly connections: Map<number, TcpConnection>
}

/** One move over all rails: it ends when every rail that carries a part of it has ended. */
interface PendingMove {
  readonly bytesByRail: number[]
  readonly railsLeft: Set<number>
  failure: KvError | undefined
  resolve(): void
  reject(error: KvError): void
}

let nextMove = 1

/** A stream per rail to one peer. When one is lost, the connection is lost. */
export class TcpConnection implements Connection {
  readonly transport = "tcp"
  readonly session: string
  readonly lost: Promise<Error>
  /** Resolves when every rail is connected and proven; rejects with the first rail's reason. */
  readonly up: Promise<void>
  readonly #id: number
  readonly #owner: TcpOwner
  readonly #peerRails: number
  readonly #railsUp = new Set<number>()
  readonly #moves = new Map<number, PendingMove>()
  #failure: KvError | undefined
  #resolveUp!: () => void
  #rejectUp!: (error: KvError) => void
  #resolveLost!: (error: KvError) => void

  constructor(id: number, session: string, owner: TcpOwner, peerRails: number) {
    this.#id = id
    this.session = session
    this.#owner = owner
    this.#peerRails = peerRails
    this.lost = new Promise((resolve) => {
      this.#resolveLost = resolve
    })
    this.up = new Promise((resolve, reject) => {
      this.#resolveUp = resolve
      this.#rejectUp = reject
    })
    // A connection that was never waited for may fail without being an unhandled rejection.
    this.up.catch(() => {})
  }

  /** Takes an event of a rail's mover. Returns true when it was ours. */
  hear(event: MoverEvent, rail: number): boolean {
    if (event.type === "connected") {
      this.#railsUp.add(rail)
      if (this.#railsUp.size === this.#owner.movers.length) this.#resolveUp()
    } else if (event.type === "lost") {
      this.railLost(rail, kvErrorFromRecord(event.error, "KV_PEER_LOST"))
    } else if (event.type === "moved" || event.type === "stopped") {
      const move = this.#moves.get(event.move)
      if (move === undefined) return false
      if (event.type === "moved") move.bytesByRail[rail] = event.bytes
      else this.#stopOthers(event.move, rail, kvErrorFromRecord(event.error, "KV_PEER_LOST"))
      this.#railDone(event.move, rail)
    }
    return true
  }

  /** A rail is gone, and with it the connection: the other rails are closed, and every move ends. */
  railLost(rail: number, error: KvError): void {
    if (this.#failure === undefined) {
      this.#failure = error
      this.#owner.movers.forEach((mover, other) => {
        if (other !== rail) tellQuietly(mover, { type: "disconnect", connection: this.#id })
      })
      this.#rejectUp(error)
      this.#resolveLost(error)
    }
    this.#railsUp.delete(rail)
    for (const [id, move] of [...this.#moves]) {
      move.failure ??= error
      this.#railDone(id, rail)
    }
    if (this.#railsUp.size === 0) this.#owner.connections.delete(this.#id)
  }

  prepare(request: MoveRequest): PreparedMove {
    if (this.#failure !== undefined) throw this.#failure
    checkMove(request, this.#owner.spans)
    return preparedByRunning(request, (checked, options) => this.#run({ ...checked, ...options }))
  }

  async move(move: Move): Promise<Moved> {
    await using prepared = this.prepare(move)
    return await prepared.post(move)
  }

  async #run(move: Move): Promise<Moved> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#moves.size >= movesMax) {
      throw new KvError("KV_LIMIT", { what: `${movesMax} transfers are under way on one connection already` })
    }
    if (move.plan.pieces === 0) return { bytes: 0, pieces: 0, rails: [], retries: 0 }
    const id = nextMove++
    const rails = this.#owner.movers.length
    const parts = splitByRail(move, rails, this.#peerRails)
    const deadlineMillis = sharedMillis() + (move.deadline - performance.now())
    const bytesByRail = Array<number>(rails).fill(0)
    const done = new Promise<void>((resolve, reject) => {
      const railsLeft = new Set(parts.keys())
      this.#moves.set(id, { bytesByRail, railsLeft, failure: undefined, resolve, reject })
    })
    for (const [rail, pieces] of parts) {
      const { direction } = move
      const command = {
        type: "move",
        connection: this.#id,
        move: id,
        direction,
        pieces,
        deadlineMillis,
      } as const
      this.#owner.movers[rail]!.tell(command)
    }
    const cancel = (): void => {
      for (const rail of parts.keys()) {
        tellQuietly(this.#owner.movers[rail]!, { type: "cancel", connection: this.#id, move: id })
      }
    }
    move.signal?.addEventListener("abort", cancel, { once: true })
    try {
      await done
    } finally {
      move.signal?.removeEventListener("abort", cancel)
    }
    const perRail = bytesByRail.map((bytes, rail) => ({ rail, bytes }))
    return { bytes: move.plan.bytes, pieces: move.plan.pieces, rails: perRail, retries: 0 }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure !== undefined) return
    for (const mover of this.#owner.movers) tellQuietly(mover, { type: "disconnect", connection: this.#id })
    await this.lost
  }

  /** One rail refused or gave up: the others must not go on writing for a move that has failed. */
  #stopOthers(id: number, rail: number, error: KvError): void {
    const move = this.#moves.get(id)!
    if (move.failure !== undefined) return
    move.failure = error
    for (const other of move.railsLeft) {
      if (other === rail) continue
      tellQuietly(this.#owner.movers[other]!, { type: "cancel", connection: this.#id, move: id })
    }
  }

  #railDone(id: number, rail: number): void {
    const move = this.#moves.get(id)
    if (move === undefined || !move.railsLeft.delete(rail) || move.railsLeft.size > 0) return
    this.#moves.delete(id)
    if (move.failure === undefined) move.resolve()
    else move.reject(move.failure)
  }
}

/** A stopped mover needs no telling. */
function tellQuietly(mover: MoverThread, command: Parameters<MoverThread["tell"]>[0]): void {
  try {
    mover.tell(command)
  } catch (thrown) {
    if (!(thrown instanceof KvError)) throw thrown
  }
}

/** The columns of each rail, with the peer's keys filled in. Rails without a piece are left out. */
function splitByRail(move: Move, rails: number, peerRails: number): Map<number, RailPieces> {
  const { plan } = move
  const reading = move.direction === "read"
  const remoteRegion = reading ? plan.sourceRegion : plan.targetRegion
  const remoteOffset = reading ? plan.sourceOffset : plan.targetOffset
  const localRegion = reading ? plan.targetRegion : plan.sourceRegion
  const localOffset = reading ? plan.targetOffset : plan.sourceOffset
  const keys = new Map(move.remote.map((descriptor) => [descriptor.region, descriptor.rkeys]))
  const counts = Array<number>(rails).fill(0)
  for (let i = 0; i < plan.pieces; i++) counts[plan.rail[i]! % rails]! += 1
  const parts = new Map<number, RailPieces>()
  counts.forEach((count, rail) => {
    if (count > 0) parts.set(rail, emptyPieces(count))
  })
  const next = Array<number>(rails).fill(0)
  for (let i = 0; i < plan.pieces; i++) {
    const rail = plan.rail[i]! % rails
    const part = parts.get(rail)!
    const at = next[rail]!++
    const rkeys = keys.get(remoteRegion[i]!)!
    part.localRegion[at] = localRegion[i]!
    part.localOffset[at] = localOffset[i]!
    part.rkey[at] = rkeys[(rail % peerRails) % rkeys.length]!
    part.remoteOffset[at] = remoteOffset[i]!
    part.length[at] = plan.length[i]!
  }
  return parts
}

function emptyPieces(count: number): RailPieces {
  return {
    localRegion: new Uint32Array(count),
    localOffset: new Float64Array(count),
    rkey: new Uint32Array(count),
    remoteOffset: new Float64Array(count),
    length: new Uint32Array(count),
  }
}
