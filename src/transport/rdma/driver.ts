import type { EndpointOptions, Rights } from "../transport.ts"

/**
 * What a fabric with remote direct memory access implements: `verbs` and `libfabric`.
 *
 * Words: a **rail** is one local NIC (port) with its completion queue and its thread. A **lane** leads from one local rail
 * to one rail of the peer: a queue pair, or an address of a connectionless endpoint. A **slice** is a part of a piece
 * (a **unit** of the columns) that goes out as one work request. A **notice** is a message without payload that carries 32 bits.
 *
 * Two sides, in two threads. The control side (`RdmaDriver`, `LocalRail`, `LocalLane`) runs on the main thread: it opens,
 * registers, connects. The data side (`RailPort`) runs on the rail's own thread, which never returns to its event loop:
 * it posts, reaps and waits. Control hands the data side plain data only (`LocalRail.port`, `LocalLane.handle`).
 */
export interface RdmaDriver {
  /** The transport's name, as in cards, receipts and errors. */
  readonly name: string
  /** The compiled file of the rail's thread. It calls `runRail()` with a function that makes the `RailPort`. */
  readonly threadFile: URL
  /**
   * True when the completion of a write means that its bytes are visible in the target (`FI_DELIVERY_COMPLETE`).
   *
   * False when it only means that they have arrived at its NIC: then a notice goes with the last write of a lane, and the
   * target's `RailPort` answers it by itself, after it has reaped it: that answer is `confirmed`.
   */
  readonly writesAreVisible: boolean
  /**
   * True when a request that the peer's side rejects comes back as `refused`, with the lane as good as new or ended.
   *
   * False where it looks like a dead peer, or where nobody checks: then the peer's open regions are kept in mind beside
   * the lanes, nothing is posted that does not fit them, and a region is closed only after its peers have let go of it.
   */
  readonly tellsRefusals: boolean
  /** True when a completion on a lane proves all work of the same direction before it there (an RC queue pair). */
  readonly ordered: boolean
  /**
   * Opens the rails of this process, in their order.
   *
   * Where there is nothing to open this costs little and leaves nothing behind: no thread, no descriptor.
   * @throws KvError KV_TRANSPORT_UNAVAILABLE saying what was looked for, where, and what is missing; KV_USAGE.
   */
  open(options: EndpointOptions): Promise<readonly LocalRail[]>
  /**
   * Before a region of that length is registered with that many rails: says what will not fit, with the numbers.
   * @throws KvError KV_LIMIT.
   */
  readonly checkRegistration?: (byteLength: number, rails: number) => void
  /**
   * Which lanes a connection shall have, best first, judged from the cards alone; the lanes are then proven one by one.
   *
   * Numbers of rails may differ. A local rail that is in no pair carries nothing. The answer must not depend on which
   * side asks for anything but its order: only the caller's answer counts.
   */
  pair(local: readonly RailCard[], remote: readonly RailCard[]): readonly LanePair[]
}

/** Plain data that survives JSON. What it means is the driver's business. */
export type Plain = { readonly [field: string]: string | number }

/** What a peer that has proven itself is told of a rail. Never addresses or keys of memory. */
export interface RailCard {
  /** Name for people, such as `mlx5_0`. */
  readonly device: string
  /** The kind of network, such as `RoCE v2 over IPv4`: rails of different kinds never reach each other. */
  readonly link: string
  /** The network it stands in, such as `10.77.0.0/24`: rails of one are joined first. */
  readonly network: string
  /** How fast it is beside the other rails; 1 where nobody knows. */
  readonly rate: number
  readonly [field: string]: string | number
}

/** A lane by the places of its two rails. The remote key of its work is the remote rail's, never the local one's. */
export interface LanePair {
  readonly local: number
  readonly remote: number
  /** Its part of what the local rail carries, beside that rail's other lanes. */
  readonly weight: number
}

/** One opened NIC of this process. Its owner closes its lanes and regions before it. */
export interface LocalRail extends AsyncDisposable {
  readonly card: RailCard
  /** For `explain` and receipts: device, port, GID index and the reason for it, and the like. Each a short text. */
  readonly facts: Readonly<Record<string, string>>
  /** Longest single work request, in bytes. */
  readonly messageBytesMax: number
  /** Longest single registration, in bytes. A longer region is registered in parts. */
  readonly registrationBytesMax: number
  /** What the rail's thread opens its port from: crosses to it by structured clone. */
  readonly port: unknown
  /**
   * Registers memory for what `access` says, and for our own reads and writes.
   *
   * Must not block the main thread for long: registering pins pages. The core bounds how many run at once.
   * @param iova what peers are to call the first byte, so that nobody learns an address. A fabric that cannot choose
   *   gives another, and says so in the registration.
   * @throws KvError KV_LIMIT with the numbers (locked memory), KV_OS with the errno.
   */
  register(address: number, byteLength: number, access: Rights, iova: number): Promise<Registration>
  /**
   * Makes this side's end of a lane, ready to be connected. `rights`: what the peer may do over it at most.
   * @throws KvError KV_OS, KV_LIMIT.
   */
  openLane(rights: Rights): Promise<LocalLane>
}

/** One part of a region as one rail knows it. */
export interface Registration {
  /** For our own work requests: an lkey, or a descriptor's address. 0 is a key. */
  readonly localKey: number
  /** For the peer's work requests: at most 32 bits, since it travels in the region's descriptor. 0 is a key. */
  readonly remoteKey: number
  /** What the peer calls the first byte. Byte `n` is `iova + n`. */
  readonly iova: number
  /** What our own work requests call it: its address, or on verbs the iova as well. */
  readonly localAddress: number
  /** The access flags it was registered with, by their names, for `explain` and receipts. */
  readonly flags: readonly string[]
  /** Resolves when the NIC touches none of it any more. */
  close(): Promise<void>
}

/** This side's end of a lane. */
export interface LocalLane {
  /** What the peer must be told to connect to it. */
  readonly end: Plain
  /** What the rail's thread works with, by structured clone. */
  readonly handle: unknown
  /**
   * @param peer the peer's `end`, and `reachedHost`: the numeric address under which its process was reached.
   * @throws KvError KV_PEER_REFUSED for an end that makes no sense; KV_PEER_UNREACHABLE, KV_OS.
   */
  connect(peer: Plain): Promise<void>
  /** Destroys it. Nothing is under way on it then: its rail's thread has let it go. */
  close(): Promise<void>
}

/** Which way the bytes of a work go, as its poster sees it. */
export type Direction = "read" | "write"

/**
 * Units of one move, as all threads of the process see them: columns in shared memory, written once.
 *
 * Unit i moves `length[i]` bytes between `localAddress[i]` here and `remoteAddress[i]` there. Keys are looked up by row,
 * because each rail has its own: `localKeys[localKey[i]]` of the posting rail, `remoteKeys[remoteKey[i]]` of the lane's
 * remote rail.
 */
export interface UnitColumns {
  readonly localAddress: Float64Array
  readonly remoteAddress: Float64Array
  readonly length: Uint32Array
  readonly localKey: Uint32Array
  readonly remoteKey: Uint32Array
}

/** Work as one lane posts it: the units of a move, and the keys of the lane's two rails. */
export interface LaneWork {
  readonly direction: Direction
  readonly units: UnitColumns
  readonly localKeys: Float64Array
  readonly remoteKeys: Uint32Array
}

/** Why a work request failed, in the words of its fabric. */
export interface WorkFailure {
  /**
   * - `refused`: the peer's side rejects the key, the bounds or the right. The move's fault, not the lane's.
   * - `local`: this side's memory, key or request was wrong. The move's fault.
   * - `flushed`: it stood behind one that failed, or the lane was stopped. Nobody's fault: it may be posted again.
   * - `lane`: the peer, the link or the NIC does not answer. Another lane may carry it.
   */
  readonly kind: "refused" | "local" | "flushed" | "lane"
  /** The fabric's own name for it, such as `IBV_WC_REM_ACCESS_ERR`. */
  readonly status: string
  readonly vendorCode: number
  /** What such a status mostly means. A likely cause, and said so. */
  readonly likelyCause: string
}

/**
 * Where a port reports what has ended. Work is named by its lane, its direction and the number it was posted under.
 *
 * Where the fabric is `ordered`, a report about number n says also that all before n of that direction have landed, and
 * not every number is reported by itself. Else each is.
 */
export interface CompletionSink {
  /** It has ended well: for a read its bytes are visible here; for a write see `writesAreVisible`. */
  landed(lane: number, direction: Direction, seq: number): void
  /** It has not, or nobody knows whether it has. */
  failed(lane: number, direction: Direction, seq: number, failure: WorkFailure): void
  /** The peer has seen the notice `token`: every write posted on this lane before it is visible there. */
  confirmed(lane: number, token: number): void
  /** The message of `probe` went there and back. */
  proven(lane: number): void
  /**
   * The lane can carry nothing more and nothing of it touches memory any more: work that was not reported did not land,
   * or nobody knows. Once per lane. `failure` is what ended it, if not `stop`.
   */
  ended(lane: number, failure: WorkFailure | undefined): void
  /** The NIC itself is gone: no lane of this rail works any more. */
  broken(why: string): void
}

/**
 * One rail as its thread has it. All calls come from that one thread. Nothing here waits.
 *
 * After a `failed` of kind `refused`, `local` or `lane` a fabric may or may not be able to go on with the lane. If it
 * cannot (a queue pair is in its error state), it flushes the rest and reports `ended` by itself.
 */
export interface RailPort extends Disposable {
  /** Descriptors that become readable when there may be something to reap. */
  readonly descriptors: readonly number[]
  /** The longest it may be left alone with nothing readable, in milliseconds; infinite where the fabric runs by itself. */
  readonly idleMillisMax: number
  /** Takes a lane into its care: it can be posted to, and notices are answered. Its number is below 2^28 and used once. */
  attach(lane: number, handle: unknown): void
  /** Forgets a lane that has ended. */
  detach(lane: number): void
  /** How many more units the lane takes now: bounded by queue depth and by what the NIC itself bounds. */
  room(lane: number): number
  /**
   * Posts units `first` to `first + count - 1` with as few doorbells as it can. `count` is at most `room(lane)`.
   *
   * @param seq the first unit's number; the following units have the following numbers. Each direction of a lane counts
   *   by itself, from 0 and without gaps.
   * @param token sent as a notice with the last unit; -1 for none, and always for reads. Below 2^30.
   * @returns how many were taken. With fewer the lane has failed: `ended` follows.
   */
  post(lane: number, work: LaneWork, first: number, count: number, seq: number, token: number): number
  /** Sends a message there and back that touches no memory: `proven` follows, or `ended`. */
  probe(lane: number): void
  /**
   * Ends a lane in bounded time, whatever the peer does: what is under way is flushed, then `ended` is reported.
   * Also for a lane that has failed already. After `ended` no byte of it lands any more.
   */
  stop(lane: number): void
  /** Reports what has ended since the last call. Returns how many things it looked at. */
  reap(sink: CompletionSink): number
  /** Asks for a descriptor to become readable at the next event. False: there was one already, so reap again first. */
  arm(): boolean
  /** `descriptors[which]` was readable: takes the event away, so that the next wait blocks. */
  heard(which: number, sink: CompletionSink): void
}
