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
  /** Rails to open: streams, NICs, or threads that copy. */
  readonly rails: number
  /** How long the thread that posts a small read looks for its answer itself, in microseconds. 0: it never waits. */
  readonly postSpinMicros?: number
  /** How long a mover looks again before it sleeps, after something has happened, in microseconds. */
  readonly moverSpinMicros?: number
}

/** One opened fabric of one process: owns its rails, registrations and connections. */
export interface Endpoint extends AsyncDisposable {
  readonly transport: string
  readonly rails: number
  /** How much each rail carries beside the others, by its line rate. Absent where all are alike, or nobody knows. */
  readonly railWeights?: readonly number[]
  /** What a peer needs to connect; published in the card, so it must survive JSON. */
  readonly address: EndpointAddress
  /**
   * Makes a region known to the fabric; `span` must stay mapped until `deregister` has resolved.
   *
   * `access` is the most that any session will ever be granted of it: a fabric seals the memory against the rest.
   * @throws KvError KV_LIMIT, KV_OS.
   */
  register(region: number, span: MemorySpan, access: Rights): Promise<RegionDescriptor>
  /** Resolves when no byte of the region can be touched any more. Transfers that still use it fail. */
  deregister(region: number): Promise<void>
  /** Lets the holder of `session.key` in, with these rights, until `dismiss`. */
  admit(session: Session, rights: Rights): Promise<void>
  /** Ends a session: its connections are closed, and none of its transfers touches memory after this resolves. */
  dismiss(sessionId: string): Promise<void>
  /** Says whether this fabric can reach a peer at `address`, and why. */
  reaches(address: EndpointAddress): Reach
  /** Its rails in words, for `explain` and receipts. Absent where there is nothing to say. */
  readonly describe?: () => readonly RailFacts[]
  /** What its rails have done. Absent where nobody counts. */
  readonly railCounts?: () => readonly RailCounts[]
  /** @throws KvError KV_PEER_UNREACHABLE, KV_PEER_UNTRUSTED, KV_DEADLINE. */
  connect(session: Session, address: EndpointAddress, options: ConnectOptions): Promise<Connection>
}

/** One rail in words: what it is, and why it was chosen so. */
export interface RailFacts {
  readonly rail: number
  /** The NIC it is, for receipts. */
  readonly device?: string
  /** The flags that the regions were registered with there, for receipts. */
  readonly registered?: string
  readonly facts: Readonly<Record<string, string>>
}

/** What a rail's thread has done since it was opened. */
export interface RailCounts {
  /** Work requests posted. */
  readonly requests: number
  /** Calls that posted them: one for each chain. */
  readonly doorbells: number
  /** Looks at the completion queue. */
  readonly looks: number
  /** Times it went to sleep. */
  readonly parks: number
}

/** How a connection is made. */
export interface ConnectOptions {
  readonly deadline: Deadline
  /** Numeric address under which the peer was reached: for one that listens on all its addresses. */
  readonly peerHost: string
  /** Regions of the peer that will be used: a fabric that maps them does it now, not in the first transfer. */
  readonly regions?: readonly RegionDescriptor[]
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
  /** Where the region starts as its owner's fabric sees it; 0 on a fabric that counts from the region's start. */
  readonly iova: number
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
   * Checks a plan and works out all that can be known before its first byte moves; then it may be posted many times.
   *
   * Nothing is awaited: a post in the same turn has begun when the turn ends, also when the thread is busy after it.
   * @throws KvError KV_RKEY_REJECTED, KV_REGION_BOUNDS, KV_PEER_UNTRUSTED, KV_LIMIT.
   */
  prepare(request: MoveRequest): PreparedMove

  /** `prepare`, one `post`, and the end of it. @throws KvError as both. */
  move(move: Move): Promise<Moved>

  /**
   * Regions of the peer as memory of this process, for reading in place. Only where the fabric can.
   *
   * A mapping cannot be taken back: what is read here may be the next owner's bytes once the lease has ended. Check
   * the epochs after the last read. The spans end with the connection.
   * @throws KvError KV_RKEY_REJECTED, KV_PEER_UNTRUSTED, KV_PEER_LOST, KV_OS.
   */
  readonly attach?: (regions: readonly RegionDescriptor[]) => Promise<ReadonlyMap<number, MemorySpan>>
}

/** Which bytes go where, before anybody says when. */
export interface MoveRequest {
  /** `read` pulls the peer's regions into ours; `write` pushes ours into the peer's. */
  readonly direction: "read" | "write"
  /** The plan's source is the peer for a read, and this side for a write. Its columns must not change any more. */
  readonly plan: TransferPlan
  /** The peer's regions, by their ids in the plan. */
  readonly remote: readonly RegionDescriptor[]
  /** Parts of our regions that a read fills, to be hashed as soon as they have landed. */
  readonly hashes?: HashUnits
}

/** How one post of a prepared move may end early. */
export interface PostOptions {
  readonly deadline: Deadline
  readonly signal?: AbortSignal
}

/** A checked move, ready to be posted. It may be posted again when it has ended, never while it is under way. */
export interface PreparedMove extends AsyncDisposable {
  /**
   * Moves the bytes. Resolves when they are all visible in the target.
   *
   * When it rejects, the operation has stopped: nothing of it writes to the target (for a read) or reads from the
   * source (for a write) after that moment, so the memory may be used again. An error that `mayStillWrite` is the one
   * exception: a library did not come back from a call.
   * @throws KvError KV_DEADLINE, KV_CANCELLED, KV_PEER_LOST, KV_RKEY_REJECTED, KV_REGION_BOUNDS, KV_LIMIT.
   */
  post(options: PostOptions): Promise<Moved>
  /** Bytes of the post under way that have been moved so far. Absent where the fabric cannot tell before its end. */
  readonly landed?: () => number
}

/** One transfer as a fabric sees it. */
export interface Move extends MoveRequest, PostOptions {}

/** Runs of our own memory that are hashed alone: `count` entries, each inside one piece of the plan. */
export interface HashUnits {
  readonly count: number
  readonly region: Uint32Array
  /** Bytes from the region's start. */
  readonly offset: Float64Array
  readonly length: Uint32Array
  /** xxh64's seed for each unit: its place, so that right bytes in a wrong place differ. */
  readonly seed: BigUint64Array
}

/** What a finished transfer did. */
export interface Moved {
  readonly bytes: number
  readonly pieces: number
  /** Payload bytes by local rail. */
  readonly rails: readonly { readonly rail: number; readonly bytes: number }[]
  readonly retries: number
  /** One hash for each unit that was asked for; absent where the fabric left that to its caller. */
  readonly hashes?: BigUint64Array
}
