import type { Connection, Endpoint, Rights, Session } from "../../transport/transport.ts"
import type { GrantDirection } from "../../wire/grant.ts"
import type { Links } from "../links.ts"
import type { SimMapping } from "../memory.ts"
import type { SimProcess } from "../process.ts"
import type { World } from "../world.ts"

/**
 * Whose work a transfer is, and so what stops it.
 *
 * - `mapped`: the reader's own thread copies from mapped pages. It stands still while the reader is paused, and goes on
 *   when the source is paused or dead. A mapping cannot be taken back.
 * - `nic`: hardware moves the bytes, whether the processes run or not.
 * - `stream`: threads of both processes move the bytes.
 */
export type FabricKind = "mapped" | "nic" | "stream"

/**
 * Lies that a broken fabric tells, to see the oracles catch them.
 *
 * - `stops-late`: a move rejects, and writes on.
 * - `dismisses-late`: a session's end is reported, and its moves go on.
 * - `forgets-boots`: a connection is to an address, whoever lives there.
 * - `asks-nobody`: whoever names a session gets in, with every right.
 */
export type FabricLie = "stops-late" | "dismisses-late" | "forgets-boots" | "asks-nobody"

/** A fabric, as its endpoints and connections see it. */
export interface FabricPart {
  readonly world: World
  readonly links: Links
  readonly kind: FabricKind
  readonly endpoints: Map<string, EndpointPart>
  lies(lie: FabricLie): boolean
  /** Says why a process may not touch the memory of another; undefined when it may. */
  objection(owner: SimProcess, toucher: SimProcess, direction: GrantDirection): string | undefined
  /** The endpoint that lives now where `endpoint` lived. */
  successorOf(endpoint: EndpointPart): EndpointPart | undefined
}

/** A session that an endpoint has let in. */
export interface Admitted {
  readonly key: Uint8Array
  readonly rights: Rights
  /** Its end was asked for, and is not reached yet: what is under way may still touch memory. */
  leaving: boolean
}

/** An endpoint, as connections and moves see it, on either side. */
export interface EndpointPart extends Endpoint {
  readonly fabric: FabricPart
  readonly process: SimProcess
  readonly token: string
  readonly regions: Map<number, SimMapping>
  readonly keys: Map<number, number>
  readonly sessions: Map<string, Admitted>
  readonly connections: Set<ConnectionPart>
  /** A connection for one who knows a session; undefined for anybody else. */
  letIn(caller: EndpointPart, session: Session): Connection | undefined
}

/** A connection, as endpoints and moves see it. */
export interface ConnectionPart extends Connection {
  readonly session: Session
  readonly local: EndpointPart
  readonly peer: EndpointPart
  readonly silenceMillis: number
  /** Ends it here and now. */
  fail(error: Error): void
  /** One of its two processes died. */
  processDied(endpoint: EndpointPart): void
}
