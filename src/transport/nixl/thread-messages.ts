import type { KvErrorRecord } from "../../errors/kv-error.ts"
import type { SharedSpan } from "../../memory/host-memory.ts"
import type { NixlBackend } from "../../os/nixl/nixl-agent.ts"
import type { Rights } from "../transport.ts"
import type { RegionKey } from "./side-messages.ts"

/** The pieces of a move, as columns. Places of this side are addresses, those of the peer offsets in a region. */
export interface NixlPieces {
  readonly count: number
  readonly bytes: number
  readonly localRegion: Uint32Array
  readonly localAddress: Float64Array
  readonly remoteRegion: Uint32Array
  readonly remoteOffset: Float64Array
  readonly length: Uint32Array
}

/** What the main thread tells the thread of an endpoint. `call` is answered by `done`. */
export type NixlCommand =
  | {
      readonly type: "register"
      readonly region: number
      readonly rkey: number
      readonly span: SharedSpan
      readonly access: Rights
      readonly call: number
    }
  | { readonly type: "deregister"; readonly region: number; readonly call: number }
  | {
      readonly type: "admit"
      readonly session: string
      readonly key: Uint8Array
      readonly rights: Rights
      readonly call: number
    }
  | { readonly type: "dismiss"; readonly session: string; readonly call: number }
  | ConnectCommand
  | { readonly type: "disconnect"; readonly connection: number; readonly call: number }
  | PrepareCommand
  | { readonly type: "forget"; readonly prepared: number }
  | PostCommand
  | { readonly type: "stopMove"; readonly move: number; readonly error: KvErrorRecord }
  | { readonly type: "stop" }

/** Opens a connection to a peer; answered by `connected` or `lost`. */
export interface ConnectCommand {
  readonly type: "connect"
  readonly connection: number
  readonly session: string
  readonly key: Uint8Array
  readonly host: string
  readonly port: number
  readonly deadlineMillis: number
  readonly regions: readonly RegionKey[]
}

/** Describes a move to NIXL, as far as that can be done before it is announced. */
export interface PrepareCommand {
  readonly type: "prepare"
  readonly prepared: number
  readonly connection: number
  readonly direction: "read" | "write"
  /** The peer's regions that it uses. */
  readonly regions: readonly RegionKey[]
  readonly pieces: NixlPieces
}

/** Carries out a prepared move; answered by `moved` or `stopped`. */
export interface PostCommand {
  readonly type: "post"
  readonly move: number
  readonly prepared: number
  readonly deadlineMillis: number
}

/** What the thread tells the main thread. */
export type NixlEvent =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "failed"; readonly error: KvErrorRecord }
  | { readonly type: "done"; readonly call: number; readonly error?: KvErrorRecord }
  | { readonly type: "connected"; readonly connection: number }
  | { readonly type: "lost"; readonly connection: number; readonly error: KvErrorRecord }
  | { readonly type: "moved"; readonly move: number }
  | { readonly type: "stopped"; readonly move: number; readonly error: KvErrorRecord }

/** How the thread is started. */
export interface NixlStart {
  readonly host: string
  readonly library: string
  readonly backends: readonly NixlBackend[]
  /** The words of a `CallWatch`. */
  readonly watch: SharedArrayBuffer
}
