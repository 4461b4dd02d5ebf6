import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type { CopyDone, CopyJob } from "../../movers/crew.ts"
import type { CopyOfMove } from "../copy-runs.ts"
import { OnePost } from "../prepared-move.ts"
import type { Moved, MoveRequest, PostOptions, PreparedMove } from "../transport.ts"
import type { PeerRegion } from "./peer-beacon.ts"

/** The connection of a move, as far as the move knows it. */
export interface CmaMoveHost {
  /** Counts a move as under way, if it may begin. @throws KvError. */
  enter(move: CmaMove): void
  leave(move: CmaMove): void
  /** Confirms that what was moved was the peer's to give until now. @throws KvError. */
  confirm(move: CmaMove): void
}

/** What a move is made of. */
export interface CmaMoveParts {
  readonly request: MoveRequest
  readonly copy: CopyOfMove
  readonly job: CopyJob
  /** The peer's regions that it touches, as its beacon showed them. */
  readonly regions: readonly PeerRegion[]
  /** The regions of this side that it touches, as they were: its addresses are in them. */
  readonly local: ReadonlyMap<number, MemorySpan>
}

/** A move between two processes: copied by the crew, and then confirmed by the peer's beacon. */
export class CmaMove implements PreparedMove {
  readonly direction: "read" | "write"
  readonly regions: readonly PeerRegion[]
  readonly local: ReadonlyMap<number, MemorySpan>
  readonly #connection: CmaMoveHost
  readonly #parts: CmaMoveParts
  readonly #posts = new OnePost()
  #stoppedBy: KvError | undefined

  constructor(connection: CmaMoveHost, parts: CmaMoveParts) {
    this.#connection = connection
    this.#parts = parts
    this.direction = parts.request.direction
    this.regions = parts.regions
    this.local = parts.local
  }

  get ended(): Promise<void> {
    return this.#posts.ended
  }

  post(options: PostOptions): Promise<Moved> {
    return this.#posts.run(options, () => this.#run(options))
  }

  landed(): number {
    return this.#parts.job.landed()
  }

  /** Ends a post that is under way with `error`; resolves when it has ended. */
  stop(error: KvError): Promise<void> {
    this.#stoppedBy ??= error
    this.#parts.job.stop()
    return this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ended
    await this.#parts.job[Symbol.asyncDispose]()
  }

  async #run(options: PostOptions): Promise<Moved> {
    this.#connection.enter(this)
    try {
      const done = await this.#copy(options)
      // Only what was the peer's to give until now was read; whatever else is in the target is not delivered.
      this.#connection.confirm(this)
      return this.#moved(done)
    } finally {
      this.#connection.leave(this)
    }
  }

  async #copy(options: PostOptions): Promise<CopyDone> {
    try {
      const done = await this.#parts.job.post(options)
      if (this.#stoppedBy !== undefined) throw this.#stoppedBy
      return done
    } catch (thrown) {
      if (this.#stoppedBy !== undefined) throw this.#stoppedBy
      // The kernel's answer says that an address is not there; the beacon says why.
      const answered =
        thrown instanceof KvError && (thrown.code === "KV_OS" || thrown.code === "KV_PEER_LOST")
      if (answered) this.#connection.confirm(this)
      throw thrown
    }
  }

  #moved(done: CopyDone): Moved {
    const { plan, hashes } = this.#parts.request
    const moved = {
      bytes: plan.bytes,
      pieces: plan.pieces,
      rails: [{ rail: 0, bytes: plan.bytes }],
      retries: 0,
    }
    return hashes === undefined ? moved : { ...moved, hashes: this.#parts.copy.inOrder(done.hashes) }
  }
}
