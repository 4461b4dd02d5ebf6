import type { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type { ExpressDesk } from "./express-desk.ts"
import type { ExpressStream } from "./express-stream.ts"
import type { MoverCommand } from "./mover-messages.ts"
import type { MoverThread } from "./mover-thread-handle.ts"

/** What a connection and its moves need of their endpoint. */
export interface RailOwner {
  readonly movers: readonly MoverThread[]
  readonly spans: ReadonlyMap<number, MemorySpan>
  /** Absent where the calling thread never waits by itself. */
  readonly desk: ExpressDesk | undefined
}

/** One move over all rails: it ends when every rail that carries a part of it has ended. */
export interface PendingMove {
  readonly bytesByRail: number[]
  readonly railsLeft: Set<number>
  failure: KvError | undefined
  resolve(): void
  reject(error: KvError): void
}

/** What a move needs of its connection: the streams to one peer. */
export interface MovingRails {
  readonly id: number
  readonly owner: RailOwner
  readonly peerRails: number
  /** There while the main thread has the express stream. */
  express: ExpressStream | undefined
  /** The number under which the express stream counts among the rails. */
  readonly expressRail: number
  /** @throws KvError the reason why the connection can carry nothing more. */
  assertUsable(): void
  /** Waits until all rails of a move have ended. `tell` starts it. @throws KvError KV_LIMIT. */
  begin(id: number, move: PendingMove, tell: () => void): void
  /** Tells the movers of those rails that a move is no longer wanted. */
  cancel(id: number): void
  tell(rail: number, command: MoverCommand): void
  /** A stream is gone, and with it the connection. */
  streamLost(rail: number, error: KvError): void
  /** Closes the express stream, if the main thread has it. */
  releaseExpress(): void
}
