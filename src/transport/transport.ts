import type { MemorySpan } from "../memory/host-memory.ts"
import type { TransferPlan } from "../plan/transfer-plan.ts"

/**
 * The interface of every fabric, made for the hardest of them: regions are registered before use, each rail has its
 * own key for a region, and a completion names its rail.
 *
 * To add one: a folder `transport/<name>/` that exports a `Transport`, a test that runs `transportContract()` on it,
 * and its name in the list that the entries choose from (`src/serve/transports.ts`).
 */
export interface Transport {
  readonly name: string
  /**
   * Opens the fabric in this process.
   * @throws KvError KV_TRANSPORT_UNAVAILABLE saying what was looked for and where.
   */
  open(options: EndpointOptions): Promise<Endpoint>
}

/** What every fabric must be told when it is opened. */
export interface EndpointOptions {
  /** Numeric address to listen on, for fabrics that listen. Loopback unless the operator asked for more. */
  readonly host: string
  /** Rails to open: streams, or NICs. */
  readonly rails: number
}

/** One opened fabric of one process: owns its rails, registrations and connections. */
export interface Endpoint extends AsyncDisposable {
  readonly transport: string
  readonly rails: number
  /** What a peer needs to connect; published in the card, so it must survive JSON. */
  readonly address: EndpointAddress
  /**
   * Makes a region known to the fabric; `span` must stay mapped until `deregister` has resolved.
   * @throws KvError KV_LIMIT, KV_OS.
   */
  register(region: number, span: MemorySpan): Promise<RegionDescriptor>
  /** Resolves when no byte of the region can be touched any more. Transfers that still use it fail. */
  deregister(region: number): Promise<void>
  /** Lets the holder of `session.key` in, with these rights, until `dismiss`. */
  admit(session: Session, rights: Rights): Promise<void>
  /** Ends a session: its connections are closed, and none of its transfers touches memory after this resolves. */
  dismiss(sessionId: string): Promise<void>
  /** Says whether this fabric can reach a peer at `address`, and why. */
  reaches(address: EndpointAddress): Reach
  /** @throws KvError KV_PEER_UNREACHABLE, KV_PEER_UNTRUSTED, KV_DEADLINE. */
  connect(session: Session, address: EndpointAddress, options: ConnectOptions): Promise<Connection>
}

/** How a connection is made. */
export interface ConnectOptions {
  readonly deadline: Deadline
  /** Numeric address under which the peer was reached: for one that listens on all its addresses. */
  readonly peerHost: string
}

/** A fabric's address as plain data. */
export interface EndpointAddress {
  readonly transport: string
  readonly [field: string]: string | number | readonly (string | number)[]
}

/** What a peer needs to reach one region: its length, and one key for each rail of its owner. Key 0 is a key. */
export interface RegionDescriptor {
  readonly region: number
  /** Length in bytes. */
  readonly length: number
  readonly rkeys: readonly number[]
}

/** Two agents that authenticated each other share this; fabrics derive their own proofs from the key. */
export interface Session {
  /** 32 hexadecimal digits. */
  readonly id: string
  /** 32 bytes. Never logged, never sent. */
  readonly key: Uint8Array
}

/** What a session may do with the regions of the side that admits it. */
export interface Rights {
  readonly read: boolean
  readonly write: boolean
}

/** Whether a fabric can be used towards a peer; `why` is printed either way. */
export interface Reach {
  readonly usable: boolean
  readonly why: string
}

/** A moment of the monotonic clock of this process, in milliseconds as `performance.now()` counts them. */
export type Deadline = number

/** A way to one peer over all rails. */
export interface Connection extends AsyncDisposable {
  readonly transport: string
  /** Why this connection can no longer be used; resolves at most once, and never while it works. */
  readonly lost: Promise<Error>
  /**
   * Moves the bytes of a plan. Resolves when they are all visible in the target.
   *
   * When it rejects, the operation has stopped: nothing of it writes to the target (for a read) or reads from the
   * source (for a write) after that moment, so the memory may be used again.
   * @throws KvError KV_DEADLINE, KV_CANCELLED, KV_PEER_LOST, KV_RKEY_REJECTED, KV_REGION_BOUNDS, KV_LIMIT.
   */
  move(move: Move): Promise<Moved>
}

/** One transfer as a fabric sees it. */
export interface Move {
  /** `read` pulls the peer's regions into ours; `write` pushes ours into the peer's. */
  readonly direction: "read" | "write"
  /** The plan's source is the peer for a read, and this side for a write. */
  readonly plan: TransferPlan
  /** The peer's regions, by their ids in the plan. */
  readonly remote: readonly RegionDescriptor[]
  readonly deadline: Deadline
  readonly signal?: AbortSignal
}

/** What a finished transfer did. */
export interface Moved {
  readonly bytes: number
  readonly pieces: number
  /** Payload bytes by local rail. */
  readonly rails: readonly { readonly rail: number; readonly bytes: number }[]
  readonly retries: number
}
