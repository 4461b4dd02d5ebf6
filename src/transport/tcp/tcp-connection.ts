import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { checkMove } from "../check-move.ts"
import type { Connection, Move, Moved, MoveRequest, PreparedMove } from "../transport.ts"
import { ExpressStream } from "./express-stream.ts"
import type { MoverCommand, MoverEvent } from "./mover-messages.ts"
import type { MoverThread } from "./mover-thread-handle.ts"
import type { MovingRails, PendingMove, RailOwner } from "./moving-rails.ts"
import { PreparedTcpMove } from "./prepared-tcp-move.ts"

/** Moves that may be under way on one connection at once. */
const movesMax = 1024

/** What a connection needs of its endpoint. */
export interface TcpOwner extends RailOwner {
  readonly connections: Map<number, TcpConnection>
  /** Closes all streams of a connection, also those that are still being made. */
  disconnect(connection: number): void
}

/**
 * A stream per rail to one peer, and where the calling thread may wait by itself one more, the express stream.
 *
 * When one is lost, the connection is lost. The express stream counts as a rail with a number behind all others.
 */
export class TcpConnection implements Connection, MovingRails {
  readonly transport = "tcp"
  readonly session: string
  readonly lost: Promise<Error>
  /** Resolves when every stream is connected and proven; rejects with the first one's reason. */
  readonly up: Promise<void>
  readonly id: number
  readonly owner: TcpOwner
  readonly peerRails: number
  /** There while the main thread has the express stream. */
  express: ExpressStream | undefined
  readonly #streamsUp = new Set<number>()
  readonly #moves = new Map<number, PendingMove>()
  #failure: KvError | undefined
  #resolveUp!: () => void
  #rejectUp!: (error: KvError) => void
  #resolveLost!: (error: KvError) => void

  constructor(id: number, session: string, owner: TcpOwner, peerRails: number) {
    this.id = id
    this.session = session
    this.owner = owner
    this.peerRails = peerRails
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

  /** The number under which the express stream counts among the rails. */
  get expressRail(): number {
    return this.owner.movers.length
  }

  /** Takes an event of a rail's mover. */
  hear(event: MoverEvent, rail: number): void {
    if (event.type === "connected") this.#streamUp(rail)
    else if (event.type === "lent") this.#takeExpress(event.fd)
    else if (event.type === "lost") {
      const error = kvErrorFromRecord(event.error, "KV_PEER_LOST")
      this.streamLost(event.express ? this.expressRail : rail, error)
    } else if (event.type === "moved" || event.type === "stopped") {
      const move = this.#moves.get(event.move)
      if (move === undefined) return
      if (event.type === "moved") move.bytesByRail[rail] = event.bytes
      else this.#stopOthers(event.move, rail, kvErrorFromRecord(event.error, "KV_PEER_LOST"))
      this.#railDone(event.move, move.railsLeft.has(this.expressRail) ? this.expressRail : rail)
    }
  }

  /** A stream is gone, and with it the connection: the others are closed, and every move ends. */
  streamLost(rail: number, error: KvError): void {
    if (this.#failure === undefined) {
      this.#failure = error
      this.releaseExpress()
      // Also the lost stream's own mover: it may have the express stream, or the rail beside it.
      this.owner.disconnect(this.id)
      this.#rejectUp(error)
      this.#resolveLost(error)
    }
    this.#streamsUp.delete(rail)
    for (const [id, move] of [...this.#moves]) {
      move.failure ??= error
      this.#railDone(id, rail)
    }
    if (this.#streamsUp.size === 0) this.owner.connections.delete(this.id)
  }

  /** Closes the express stream, if the main thread has it. */
  releaseExpress(): void {
    if (this.express === undefined) return
    this.express.close()
    this.express = undefined
    this.#streamsUp.delete(this.expressRail)
  }

  /** False when its streams are gone, or about to be closed. */
  get usable(): boolean {
    return this.#failure === undefined
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

  /** Waits until all rails of a move have ended. `tell` starts it. */
  begin(id: number, move: PendingMove, tell: () => void): void {
    if (this.#moves.size >= movesMax) {
      throw new KvError("KV_LIMIT", { what: `${movesMax} transfers are under way on one connection already` })
    }
    this.#moves.set(id, move)
    try {
      tell()
    } catch (thrown) {
      this.#moves.delete(id)
      throw thrown
    }
  }

  /** Tells the movers of those rails that a move is no longer wanted. */
  cancel(id: number): void {
    for (const rail of this.#moves.get(id)?.railsLeft ?? []) {
      this.#moverOf(rail).tellQuietly({ type: "cancel", connection: this.id, move: id })
    }
  }

  tell(rail: number, command: MoverCommand): void {
    this.#moverOf(rail).tell(command)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure !== undefined) return
    this.releaseExpress()
    this.owner.disconnect(this.id)
    await this.lost
  }

  #prepare(request: MoveRequest, once: boolean): PreparedTcpMove {
    this.assertUsable()
    checkMove(request, this.owner.spans)
    return new PreparedTcpMove(this, request, once)
  }

  #streamUp(rail: number): void {
    this.#streamsUp.add(rail)
    const wanted = this.owner.movers.length + (this.owner.desk === undefined ? 0 : 1)
    if (this.#streamsUp.size === wanted) this.#resolveUp()
  }

  #takeExpress(fd: number): void {
    const express = new ExpressStream(this.owner.desk!, fd)
    if (this.#failure !== undefined) return express.close()
    this.express = express
    this.#streamUp(this.expressRail)
  }

  #moverOf(rail: number): MoverThread {
    return this.owner.movers[rail === this.expressRail ? 0 : rail]!
  }

  /** One rail refused or gave up: the others must not go on writing for a move that has failed. */
  #stopOthers(id: number, rail: number, error: KvError): void {
    const move = this.#moves.get(id)!
    if (move.failure !== undefined) return
    move.failure = error
    for (const other of move.railsLeft) {
      if (other === rail) continue
      this.#moverOf(other).tellQuietly({ type: "cancel", connection: this.id, move: id })
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
