import type { KvErrorRecord } from "../../errors/kv-error.ts"
import type { SharedSpan } from "../../memory/host-memory.ts"
import type { Rights } from "../transport.ts"

/** The pieces of one move that one rail carries, as that rail's thread wants them. */
export interface RailPieces {
  readonly localRegion: Uint32Array<ArrayBuffer>
  readonly localOffset: Float64Array<ArrayBuffer>
  /** The peer's key for this rail. */
  readonly rkey: Uint32Array<ArrayBuffer>
  readonly remoteOffset: Float64Array<ArrayBuffer>
  readonly length: Uint32Array<ArrayBuffer>
}

/** What the main thread tells a mover. `call` is answered by `done`. */
export type MoverCommand =
  | { readonly type: "register"; readonly region: number; readonly rkey: number; readonly span: SharedSpan }
  | { readonly type: "deregister"; readonly region: number; readonly call: number }
  | { readonly type: "admit"; readonly session: string; readonly key: Uint8Array; readonly rights: Rights }
  | { readonly type: "dismiss"; readonly session: string; readonly call: number }
  | {
      readonly type: "connect"
      readonly connection: number
      readonly host: string
      readonly port: number
      readonly session: string
      readonly key: Uint8Array
      readonly deadlineMillis: number
    }
  | {
      readonly type: "move"
      readonly connection: number
      readonly move: number
      readonly direction: "read" | "write"
      readonly pieces: RailPieces
      readonly deadlineMillis: number
    }
  | { readonly type: "cancel"; readonly connection: number; readonly move: number }
  | { readonly type: "disconnect"; readonly connection: number }
  | { readonly type: "stop" }

/** What a mover tells the main thread. */
export type MoverEvent =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "failed"; readonly error: KvErrorRecord }
  | { readonly type: "done"; readonly call: number }
  | { readonly type: "connected"; readonly connection: number }
  | { readonly type: "moved"; readonly move: number; readonly bytes: number }
  | { readonly type: "stopped"; readonly move: number; readonly error: KvErrorRecord }
  | { readonly type: "lost"; readonly connection: number; readonly error: KvErrorRecord }

/** How a mover is started. */
export interface MoverStart {
  readonly host: string
  /** The descriptor that the main thread rings after posting a command. */
  readonly wakeUp: number
  /** One Int32; 1 tells the mover to end at once, also while the process is exiting. */
  readonly stopFlag: SharedArrayBuffer
}

/** The clock that all threads of a process share, in milliseconds. `performance.now()` differs between them. */
export const sharedMillis = (): number => Number(process.hrtime.bigint()) / 1e6
