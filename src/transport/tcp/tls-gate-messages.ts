import type { KvErrorRecord } from "../../errors/kv-error.ts"
import type { ConnectCommand } from "./mover-messages.ts"

/** What the main thread tells a gate. `call` is answered by `done`. */
export type GateCommand =
  | { readonly type: "admit"; readonly session: string; readonly key: Uint8Array; readonly call: number }
  | { readonly type: "dismiss"; readonly session: string }
  | ConnectCommand
  | { readonly type: "disconnect"; readonly connection: number }
  | { readonly type: "stop" }

/** What a gate tells the main thread. A descriptor in an event belongs to whoever hears it. */
export type GateEvent =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "failed"; readonly error: KvErrorRecord }
  | { readonly type: "done"; readonly call: number }
  /** A caller is behind `fd`, in clear on this side of the gate. */
  | { readonly type: "accepted"; readonly fd: number }
  /** The peer that was to be connected is behind `fd`. */
  | { readonly type: "secured"; readonly command: ConnectCommand; readonly fd: number }
  | {
      readonly type: "lost"
      readonly connection: number
      readonly express: false
      readonly error: KvErrorRecord
    }

/** How a gate is started. */
export interface GateStart {
  readonly host: string
}
