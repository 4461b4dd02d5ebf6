import { randomBytes, timingSafeEqual } from "node:crypto"
import { assert } from "../../errors/assert.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { copyBytes } from "../../os/copy.ts"
import { checkMove } from "../check-move.ts"
import { preparedByRunning } from "../prepared-move.ts"
import type {
  Connection,
  Endpoint,
  EndpointAddress,
  EndpointOptions,
  Move,
  Moved,
  MoveRequest,
  PreparedMove,
  Reach,
  RegionDescriptor,
  Rights,
  Session,
  Transport,
} from "../transport.ts"

/** Most bytes copied before other work of the thread gets a turn. */
const sliceBytes = 8 * 2 ** 20

/** Names this process: a loopback address of another process is recognised by it. */
const processToken = randomBytes(16).toString("hex")

/** The open endpoints of this process, by their tokens. */
const endpoints = new Map<string, LoopbackEndpoint>()

/** Both sides in one process: bytes are moved by `memmove`. Needs nothing of the machine. */
export const loopback: Transport = {
  name: "loopback",
  open: (options) => Promise.resolve(new LoopbackEndpoint(options)),
}

class LoopbackEndpoint implements Endpoint {
  readonly transport = "loopback"
  readonly rails: number
  readonly address: EndpointAddress
  readonly spans = new Map<number, MemorySpan>()
  readonly keys = new Map<number, number>()
  readonly access = new Map<number, Rights>()
  readonly sessions = new Map<string, { key: Uint8Array; rights: Rights }>()
  readonly connections = new Set<LoopbackConnection>()
  readonly #token = randomBytes(16).toString("hex")
  #nextKey = 0

  constructor(options: EndpointOptions) {
    this.rails = options.rails
    this.address = { transport: "loopback", process: processToken, endpoint: this.#token }
    endpoints.set(this.#token, this)
  }

  register(region: number, span: MemorySpan, access: Rights): Promise<RegionDescriptor> {
    assert(!this.spans.has(region), `region ${region} is registered once`)
    const key = this.#nextKey++
    this.spans.set(region, span)
    this.keys.set(region, key)
    this.access.set(region, access)
    return Promise.resolve({
      region,
      length: span.byteLength,
      rkeys: Array<number>(this.rails).fill(key),
      iova: 0,
    })
  }

  deregister(region: number): Promise<void> {
    this.spans.delete(region)
    this.keys.delete(region)
    this.access.delete(region)
    return Promise.resolve()
  }

  admit(session: Session, rights: Rights): Promise<void> {
    this.sessions.set(session.id, { key: session.key, rights })
    return Promise.resolve()
  }

  dismiss(sessionId: string): Promise<void> {
    this.sessions.delete(sessionId)
    for (const connection of this.connections) {
      if (connection.sessionId === sessionId) connection.fail(lostPeer("the session was ended"))
    }
    return Promise.resolve()
  }

  reaches(address: EndpointAddress): Reach {
    if (address.transport !== "loopback")
      return { usable: false, why: "the peer offers no loopback endpoint" }
    return address["process"] === processToken
      ? { usable: true, why: "both agents live in one process" }
      : { usable: false, why: "the peer is another process" }
  }

  connect(session: Session, address: EndpointAddress): Promise<Connection> {
    const peer = endpoints.get(String(address["endpoint"]))
    if (peer === undefined) {
      const text = {
        what: "no open loopback endpoint has that address",
        why: "it was closed, or is not in this process",
      }
      return Promise.reject(new KvError("KV_PEER_UNREACHABLE", text))
    }
    const admitted = peer.sessions.get(session.id)
    if (admitted === undefined || !timingSafeEqual(admitted.key, session.key)) {
      return Promise.reject(new KvError("KV_PEER_UNTRUSTED", { what: "the peer does not know this session" }))
    }
    const connection = new LoopbackConnection(this, peer, session.id)
    this.connections.add(connection)
    peer.connections.add(connection)
    return Promise.resolve(connection)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    endpoints.delete(this.#token)
    for (const connection of this.connections) connection.fail(lostPeer("the endpoint was closed"))
    this.spans.clear()
    this.keys.clear()
    this.access.clear()
    this.sessions.clear()
  }
}

class LoopbackConnection implements Connection {
  readonly transport = "loopback"
  readonly lost: Promise<Error>
  readonly sessionId: string
  readonly #local: LoopbackEndpoint
  readonly #peer: LoopbackEndpoint
  #failure: KvError | undefined
  #lose!: (error: Error) => void

  constructor(local: LoopbackEndpoint, peer: LoopbackEndpoint, sessionId: string) {
    this.#local = local
    this.#peer = peer
    this.sessionId = sessionId
    this.lost = new Promise((resolve) => {
      this.#lose = resolve
    })
  }

  fail(error: KvError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#local.connections.delete(this)
    this.#peer.connections.delete(this)
    this.#lose(error)
  }

  prepare(request: MoveRequest): PreparedMove {
    this.#checkRights(request)
    checkMove(request, this.#local.spans)
    // A region that was closed and opened again is another one.
    const spans = new Map(this.#local.spans)
    return preparedByRunning(request, (checked, options) => this.#run({ ...checked, ...options }, spans))
  }

  async move(move: Move): Promise<Moved> {
    await using prepared = this.prepare(move)
    return await prepared.post(move)
  }

  async #run(move: Move, spans: ReadonlyMap<number, MemorySpan>): Promise<Moved> {
    this.#checkRights(move)
    const keys = new Map(move.remote.map((descriptor) => [descriptor.region, descriptor.rkeys]))
    const { plan } = move
    const reading = move.direction === "read"
    const perRail = Array<number>(this.#local.rails).fill(0)
    let untilYield = 0
    for (let i = 0; i < plan.pieces; i++) {
      const remoteRegion = (reading ? plan.sourceRegion : plan.targetRegion)[i]!
      const localRegion = (reading ? plan.targetRegion : plan.sourceRegion)[i]!
      const rail = plan.rail[i]! % this.#local.rails
      const rkey = keys.get(remoteRegion)?.[rail % this.#peer.rails]
      for (let done = 0; done < plan.length[i]!; ) {
        if (untilYield <= 0) {
          await new Promise(setImmediate)
          untilYield = sliceBytes
          this.#checkGoingOn(move)
        }
        // Looked up for each slice: a region may be closed while other work has its turn.
        const peerSpan = this.#peerSpan(remoteRegion, rkey, move.direction)
        const ownSpan = this.#local.spans.get(localRegion)
        if (ownSpan === undefined || ownSpan !== spans.get(localRegion))
          throw rejectedKey(localRegion, "this side closed it")
        const [source, target] = reading ? [peerSpan, ownSpan] : [ownSpan, peerSpan]
        const length = Math.min(plan.length[i]! - done, untilYield)
        copyBytes(source, plan.sourceOffset[i]! + done, target, plan.targetOffset[i]! + done, length)
        done += length
        untilYield -= length
      }
      perRail[rail]! += plan.length[i]!
    }
    return {
      bytes: plan.bytes,
      pieces: plan.pieces,
      rails: perRail.map((bytes, rail) => ({ rail, bytes })),
      retries: 0,
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.fail(lostPeer("this side closed the connection"))
    return Promise.resolve()
  }

  #checkRights(move: MoveRequest): void {
    const rights = this.#peer.sessions.get(this.sessionId)?.rights
    if (this.#failure !== undefined) throw this.#failure
    if (rights?.[move.direction] !== true) {
      throw new KvError("KV_PEER_UNTRUSTED", { what: `the peer did not grant a ${move.direction}` })
    }
  }

  #checkGoingOn(move: Move): void {
    if (this.#failure !== undefined) throw this.#failure
    if (move.signal?.aborted === true)
      throw new KvError("KV_CANCELLED", { what: "the transfer was cancelled" })
    if (performance.now() >= move.deadline) {
      throw new KvError("KV_DEADLINE", { what: `${move.plan.bytes} bytes did not move before the deadline` })
    }
  }

  #peerSpan(region: number, key: number | undefined, direction: Move["direction"]): MemorySpan {
    const span = this.#peer.spans.get(region)
    if (span === undefined) throw rejectedKey(region, "the peer closed it")
    if (key === undefined || this.#peer.keys.get(region) !== key) {
      throw rejectedKey(region, `key ${key} is not, or no longer, its key`)
    }
    if (this.#peer.access.get(region)?.[direction] !== true) {
      throw new KvError("KV_PEER_UNTRUSTED", {
        what: `the peer grants nobody a ${direction} of region ${region}`,
      })
    }
    return span
  }
}

function rejectedKey(region: number, why: string): KvError {
  return new KvError("KV_RKEY_REJECTED", {
    what: `the key of region ${region} was rejected`,
    why,
    next: "connect again to fetch the peer's present descriptors",
  })
}

function lostPeer(why: string): KvError {
  return new KvError("KV_PEER_LOST", { what: "the loopback connection is gone", why })
}
