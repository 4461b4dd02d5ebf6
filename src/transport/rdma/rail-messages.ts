import type { KvErrorRecord } from "../../errors/kv-error.ts"
import type { SharedDoorbell } from "../../os/doorbell.ts"
import type { DealMemory } from "./deal.ts"
import type { Direction, UnitColumns, WorkFailure } from "./driver.ts"

/** How a rail's thread is started. */
export interface RailStart {
  /** The transport's name, for errors. */
  readonly transport: string
  /** Its place among the rails of the endpoint. */
  readonly rail: number
  /** What the fabric opens its port from. */
  readonly port: unknown
  readonly doorbell: SharedDoorbell
  /** The doorbells of the other rails: units that one gives back are there for them. */
  readonly others: readonly SharedDoorbell[]
  /** One Int32; 1 tells the thread to end at once, also while the process is exiting. */
  readonly stopFlag: SharedArrayBuffer
  /** The processor that it keeps to; undefined where the kernel decides. */
  readonly cpu: number | undefined
  /** Says whether it is inside a call of its fabric: a `CallWatch`. */
  readonly watch: SharedArrayBuffer
  /** What it has done so far, written by it alone: see `RailCounts`. */
  readonly counts: SharedArrayBuffer
  /** How long it looks again before it parks, after something has happened. */
  readonly spinMicros: number
  readonly writesAreVisible: boolean
  readonly ordered: boolean
}

/** What the main thread tells a rail. */
export type RailCommand =
  | AttachCommand
  | { readonly type: "stop-lane"; readonly lane: number }
  | PostCommand
  | { readonly type: "forget"; readonly prepared: number }
  | { readonly type: "cancel"; readonly move: number; readonly error: KvErrorRecord }
  /** Ends every lane and every move of a connection. */
  | { readonly type: "disconnect"; readonly connection: number; readonly error: KvErrorRecord }

/** Gives a connected lane to its rail's thread. */
export interface AttachCommand {
  readonly type: "attach"
  readonly connection: number
  /** Its number in this process: used once. */
  readonly lane: number
  /** Its place among the lanes of its connection, as deals count them; a mended lane has that of the one it replaces. */
  readonly place: number
  readonly handle: unknown
  readonly window: { readonly depth: number; readonly bytesMax: number }
  /** True for the side that asks: the lane is proven there and back before it carries anything. */
  readonly prove: boolean
}

/** This rail's part in a move. */
export interface PostCommand {
  readonly type: "post"
  readonly connection: number
  readonly move: number
  readonly prepared: number
  /** With the first post of a prepared move: the rail keeps it until `forget`, unless it is posted once. */
  readonly work?: PreparedWork
  readonly once: boolean
  readonly deal: DealMemory
  readonly deadlineMillis: number
}

/** What all posts of a prepared move have in common on one rail. */
export interface PreparedWork {
  readonly direction: Direction
  readonly units: UnitColumns
  readonly localKeys: Float64Array<SharedArrayBuffer>
  /** For each of this rail's lanes of the connection: its place, and the keys of its remote rail. */
  readonly lanes: readonly { readonly place: number; readonly remoteKeys: Uint32Array<SharedArrayBuffer> }[]
}

/** A unit of a move that failed, and why. */
export interface FailedUnit {
  readonly unit: number
  readonly place: number
  readonly failure: WorkFailure
}

/** What a rail tells the main thread. */
export type RailEvent =
  | { readonly type: "running" }
  /** The thread cannot go on: nothing of its rail works any more. */
  | { readonly type: "failed"; readonly error: KvErrorRecord }
  /** The lane is in the rail's care: what its peer sends is received from here on. */
  | { readonly type: "attached"; readonly lane: number }
  | { readonly type: "proven"; readonly lane: number }
  | { readonly type: "lane-ended"; readonly lane: number; readonly failure?: WorkFailure }
  /**
   * This rail takes no more part in a move. `done`: every byte of it has been moved, by whichever rail. Else nothing of it
   * is under way on any rail, and `error` or `refused` says what stopped it here, if anything did.
   */
  | {
      readonly type: "left"
      readonly move: number
      readonly done: boolean
      readonly error?: KvErrorRecord
      readonly refused?: FailedUnit
      /** The last of its units that a lane of this rail failed with. */
      readonly lost?: FailedUnit
    }
