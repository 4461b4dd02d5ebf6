import type { MemorySpan } from "../../memory/host-memory.ts"
import type { MessageIo } from "../../os/message-io.ts"
import type { Sockets } from "../../os/sockets.ts"
import type { Rights } from "../transport.ts"
import type { MoverEvent } from "./mover-messages.ts"
import type { Places } from "./places.ts"

/** A region as a mover knows it. */
export interface MoverRegion {
  readonly region: number
  readonly rkey: number
  readonly span: MemorySpan
  /** What it was registered for. No session's rights go beyond. */
  readonly access: Rights
}

/** A session as a mover knows it. */
export interface MoverSession {
  readonly key: Uint8Array
  readonly rights: Rights
}

/** What the streams of a mover share: all of it belongs to one thread. */
export interface MoverHost {
  readonly io: MessageIo
  readonly sockets: Sockets
  /** Memory that unwanted bytes are received into. */
  readonly sink: { readonly address: number; readonly byteLength: number }
  /** Checked places of the request that is being looked at; used up before the next one is. */
  readonly places: Places
  readonly regionsById: ReadonlyMap<number, MoverRegion>
  readonly regionsByKey: ReadonlyMap<number, MoverRegion>
  readonly sessions: ReadonlyMap<string, MoverSession>
  emit(event: MoverEvent): void
  /** A stream was closed, or changed hands: the list of those that are waited for is no longer right. */
  changed(): void
}
