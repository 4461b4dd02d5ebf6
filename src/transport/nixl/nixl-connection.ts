import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { checkMove } from "../check-move.ts"
import type { Connection, Move, Moved, MoveRequest, PreparedMove } from "../transport.ts"
import type { NixlThread } from "./nixl-thread-handle.ts"
import { type MoveOwner, PreparedNixlMove } from "./prepared-nixl-move.ts"
import type { NixlCommand, NixlEvent } from "./thread-messages.ts"

/** Moves that may be under way on one connection at once. */
const movesMax = 1024
/** How long after its deadline a move may still be ended by the thread before we look what the thread does. */
const graceMillis = 500

/** What a connection is made of. */
export interface NixlConnectionParts {
  readonly id: number
  readonly session: string
  readonly thread: NixlThread
  readonly spans: ReadonlyMap<number, MemorySpan>
  /** Which connection hears of a move. */
  readonly moves: Map<number, NixlConnection>
  /** Called once, when it can no longer be used. */
  readonly onEnd: () => void
}

interface PendingMove {
  resolve(): void
  reject(error: KvError): void
}

/** A way to one peer through NIXL, as the main thread holds it. */
export class NixlConnection implements Connection, MoveOwner {
  readonly transport = "nixl"
  readonly id: number
  readonly session: string
  readonly spans: ReadonlyMap<number, MemorySpan>
  readonly lost: Promise<Error>
  /** Resolves when both sides have proven themselves; rejects with why not. */
  readonly up: Promise<void>
  readonly #parts: NixlConnectionParts
  readonly #moves = new Map<number, PendingMove>()
  #failure: KvError | undefined
  #resolveUp!: () => void
  #rejectUp!: (error: KvError) => void
  #resolveLost!: (error: KvError) => void

  constructor(parts: NixlConnectionParts) {
    this.#parts = parts
    this.id = parts.id
    this.session = parts.session
    this.spans = parts.spans
    this.lost = new Promise((resolve) => {
      this.#resolveLost = resolve
    })
    this.up = new Promise((resolve, reject) => {
      this.#resolveUp = resolve
      this.#rejectUp = reject
    })
    // One that nobody waits for may fail without being an unhandled rejection.
    this.up.catch(() => {})
  }

  hear(event: Extract<NixlEvent, { connection: number } | { move: number }>): void {
    if (event.type === "connected") this.#resolveUp()
    else if (event.type === "lost") this.fail(kvErrorFromRecord(event.error, "KV_PEER_LOST"))
    else {
      const move = this.#moves.get(event.move)
      this.#moves.delete(event.move)
      this.#parts.moves.delete(event.move)
      if (event.type === "moved") move?.resolve()
      else move?.reject(kvErrorFromRecord(event.error, "KV_PEER_LOST"))
    }
  }

  /** The connection is lost. Its moves are told by the thread, when nothing of them is under way. */
  fail(error: KvError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#rejectUp(error)
    this.#resolveLost(error)
    this.#parts.onEnd()
  }

  /** The thread is gone, and with it everything. */
  abandon(error: KvError): void {
    this.fail(error)
    for (const [id, move] of [...this.#moves]) {
      this.#moves.delete(id)
      this.#parts.moves.delete(id)
      move.reject(error)
    }
  }

  prepare(request: MoveRequest): PreparedMove {
    this.assertUsable()
    checkMove(request, this.spans)
    return new PreparedNixlMove(this, request)
  }

  async move(move: Move): Promise<Moved> {
    await using prepared = this.prepare(move)
    return await prepared.post(move)
  }

  assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#moves.size < movesMax) return
    throw new KvError("KV_LIMIT", {
      what: `${this.#moves.size} transfers are under way on this connection`,
      why: `at most ${movesMax} may be`,
      next: "wait for some of them",
    })
  }

  tell(command: NixlCommand): void {
    this.#parts.thread.tellQuietly(command)
  }

  async ended(id: number, deadline: number): Promise<void> {
    const { thread, moves } = this.#parts
    if (thread.gone !== undefined) throw thread.gone
    moves.set(id, this)
    thread.watch()
    // The thread ends what is late. This is for the case that NIXL does not give the thread back.
    const left = deadline - performance.now() + graceMillis
    const timer = setTimeout(() => thread.overdue(), Math.min(Math.max(0, left), 2 ** 31 - 1)).unref()
    try {
      await new Promise<void>((resolve, reject) => this.#moves.set(id, { resolve, reject }))
    } finally {
      clearTimeout(timer)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { thread, id: connection } = this.#parts
    this.fail(new KvError("KV_PEER_LOST", { what: "this side closed the nixl connection" }))
    if (thread.gone === undefined) await thread.ask((call) => ({ type: "disconnect", connection, call }))
  }
}
