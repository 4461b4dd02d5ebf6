import type { KvErrorRecord } from "../../errors/kv-error.ts"
import type { SharedSpan } from "../../memory/host-memory.ts"
import type { Rights } from "../transport.ts"
import type { RailPieces } from "./rail-pieces.ts"

/** What the main thread tells a mover. `call` is answered by `done`. */
export type MoverCommand =
  | {
      readonly type: "register"
      readonly region: number
      readonly rkey: number
      readonly span: SharedSpan
      readonly access: Rights
      readonly call: number
    }
  | { readonly type: "deregister"; readonly region: number; readonly call: number }
  | { readonly type: "admit"; readonly session: string; readonly key: Uint8Array; readonly rights: Rights }
  | { readonly type: "dismiss"; readonly session: string; readonly call: number }
  | ConnectCommand
  | AdoptCommand
  | PostCommand
  | { readonly type: "forget"; readonly prepared: number }
  | ExpressCommand
  | { readonly type: "cancel"; readonly connection: number; readonly move: number }
  | { readonly type: "disconnect"; readonly connection: number }
  | { readonly type: "stop" }

/** Opens one stream. A connection has one per rail, and on the first rail one more: the express stream. */
export interface ConnectCommand {
  readonly type: "connect"
  readonly connection: number
  readonly host: string
  readonly port: number
  readonly session: string
  readonly key: Uint8Array
  readonly deadlineMillis: number
  /** True for the stream that the main thread works with itself once it is up. */
  readonly express: boolean
  /** A socket that is connected already, now the mover's: what is behind it went through a TLS handshake. */
  readonly fd?: number
}

/** Takes a caller that somebody else let in. Its socket is the mover's from here on. */
export interface AdoptCommand {
  readonly type: "adopt"
  readonly fd: number
}

/** Carries out this rail's part of a prepared move. */
export interface PostCommand {
  readonly type: "post"
  readonly connection: number
  readonly move: number
  readonly prepared: number
  readonly direction: "read" | "write"
  readonly deadlineMillis: number
  /** With the first post of a prepared move; the mover keeps it until `forget`, unless it is posted once. */
  readonly pieces?: RailPieces
  readonly once: boolean
}

/** Gives an express stream back to the mover, in the middle of a read that took longer than the main thread waits. */
export interface ExpressCommand {
  readonly type: "express"
  readonly connection: number
  readonly move: number
  readonly batch: number
  readonly pieces: RailPieces
  readonly deadlineMillis: number
  /** Bytes of the answer that are here: its header first, then payload, which is in its place. */
  readonly received: number
  /** The part of the answer's header that is here. */
  readonly header: Uint8Array
}

/** What a mover tells the main thread. */
export type MoverEvent =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "failed"; readonly error: KvErrorRecord }
  | { readonly type: "done"; readonly call: number }
  | { readonly type: "connected"; readonly connection: number }
  /** The express stream is the main thread's to use and to close, until it gives it back. */
  | { readonly type: "lent"; readonly connection: number; readonly fd: number }
  | { readonly type: "moved"; readonly connection: number; readonly move: number; readonly bytes: number }
  | {
      readonly type: "stopped"
      readonly connection: number
      readonly move: number
      readonly error: KvErrorRecord
    }
  | {
      readonly type: "lost"
      readonly connection: number
      readonly express: boolean
      readonly error: KvErrorRecord
    }

/** How a mover is started. */
export interface MoverStart {
  /** Where to listen; undefined when its callers are brought to it. */
  readonly host: string | undefined
  /** The descriptor that the main thread rings after posting a command. */
  readonly wakeUp: number
  /** One Int32; 1 tells the mover to end at once, also while the process is exiting. */
  readonly stopFlag: SharedArrayBuffer
  /** One Int32: how many threads of this process spin just now. */
  readonly spinners: SharedArrayBuffer
  /** How long the mover looks again before it parks, after something has happened. */
  readonly spinMicros: number
}
