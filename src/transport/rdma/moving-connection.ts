import type { KvErrorCode } from "../../errors/codes.ts"
import type { RegionDescriptor, Rights } from "../transport.ts"
import type { Lane } from "./lane.ts"
import type { RunningRail } from "./lanes.ts"
import type { PendingMove } from "./pending-move.ts"
import type { PostCommand } from "./rail-messages.ts"
import type { RegionBook } from "./region-book.ts"
import type { RefusedRequest } from "./side-messages.ts"

/** What a connection and its moves need of their endpoint. */
export interface MovingOwner {
  readonly running: readonly RunningRail[]
  readonly book: RegionBook
  readonly sliceBytes: number
}

/** What a move needs of its connection: the lanes to one peer. */
export interface MovingConnection {
  readonly id: number
  readonly owner: MovingOwner
  readonly rights: Rights
  /** Rails of the peer, and how long its registrations are at most. */
  readonly peer: { readonly rails: number; readonly partBytes: number }
  /** Sorted by the local rail; a place stays a lane's own when it is mended. */
  readonly lanes: readonly Lane[]
  /** True for each lane that carries work now. */
  readonly alive: readonly boolean[]
  /** @throws KvError the reason why the connection can carry nothing more. */
  assertUsable(): void
  /** Tells the rails of a move about it. @throws KvError KV_LIMIT. */
  begin(
    posts: ReadonlyMap<number, PostCommand>,
    regions: readonly number[],
    remoteRegions: readonly number[],
  ): PendingMove
  /** Tells rails that a prepared move is not posted any more. */
  drop(prepared: number, rails: readonly number[]): void
  /** Whether the peer has this open as the descriptor says. True also where the fabric itself will say so. */
  isOpen(descriptor: RegionDescriptor, direction: "read" | "write"): boolean
  /** What was wrong with a request that the peer's NIC refused, in the peer's words. */
  why(request: Omit<RefusedRequest, "call">): Promise<{ readonly code: KvErrorCode; readonly what: string }>
}
