import { randomInt } from "node:crypto"
import { assert } from "../../errors/assert.ts"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { toSharedMillis } from "../../os/clock.ts"
import type {
  Connection,
  ConnectOptions,
  Endpoint,
  EndpointAddress,
  EndpointOptions,
  Reach,
  RegionDescriptor,
  Rights,
  Session,
  Transport,
} from "../transport.ts"
import { ExpressDesk } from "./express-desk.ts"
import type { MoverEvent } from "./mover-messages.ts"
import { MoverThread } from "./mover-thread-handle.ts"
import { SpinPermit } from "./spin-permit.ts"
import { TcpConnection } from "./tcp-connection.ts"

/**
 * Bytes over TCP streams, scattered and gathered straight from and into place.
 *
 * One mover thread per rail runs that rail's listener and streams. Everything is refused that does not come from an
 * admitted session. The payload is not encrypted: use it on a network that you trust.
 */
export const tcp: Transport = { name: "tcp", open: openTcp }

/**
 * How long a post of a small read looks for its answer by itself, in microseconds.
 *
 * About what handing the read to a mover costs: whoever waits that long in vain has lost at most as much again.
 */
const postSpinMicrosDefault = 50

/** One Int32: how many threads of this process spin just now. */
const spinners = new SharedArrayBuffer(4)

async function openTcp(options: EndpointOptions): Promise<Endpoint> {
  const { postSpinMicros = postSpinMicrosDefault, moverSpinMicros = 0 } = options
  const endpoint = new TcpEndpoint(options.host, postSpinMicros)
  const spin = { spinners, spinMicros: moverSpinMicros }
  try {
    for (let rail = 0; rail < options.rails; rail++) {
      endpoint.movers.push(await MoverThread.start(options.host, spin, (event) => endpoint.hear(event, rail)))
    }
  } catch (thrown) {
    await endpoint[Symbol.asyncDispose]()
    throw thrown
  }
  return endpoint
}

class TcpEndpoint implements Endpoint {
  readonly transport = "tcp"
  readonly movers: MoverThread[] = []
  readonly spans = new Map<number, MemorySpan>()
  readonly connections = new Map<number, TcpConnection>()
  readonly desk: ExpressDesk | undefined
  readonly #host: string
  readonly #keys = new Map<number, number>()
  #nextConnection = 1
  #closed = false

  constructor(host: string, postSpinMicros: number) {
    this.#host = host
    const permit = new SpinPermit(spinners, postSpinMicros)
    this.desk = permit.wanted ? new ExpressDesk(permit) : undefined
  }

  get rails(): number {
    return this.movers.length
  }

  get address(): EndpointAddress {
    return { transport: "tcp", host: this.#host, ports: this.movers.map((mover) => mover.port) }
  }

  /** One event of one rail's mover. */
  hear(event: MoverEvent, rail: number): void {
    if (event.type === "failed") {
      const error = kvErrorFromRecord(event.error, "KV_TRANSPORT_UNAVAILABLE")
      for (const connection of [...this.connections.values()]) {
        connection.streamLost(rail, error)
        if (rail === 0) connection.streamLost(connection.expressRail, error)
      }
    } else if ("connection" in event) {
      const connection = this.connections.get(event.connection)
      if (connection !== undefined) connection.hear(event, rail)
      else if (event.type === "lent") this.desk?.close(event.fd)
    }
  }

  async register(region: number, span: MemorySpan, access: Rights): Promise<RegionDescriptor> {
    assert(!this.spans.has(region), `region ${region} is registered once: its old key would outlive it`)
    const rkey = this.#freshKey()
    this.spans.set(region, span)
    this.#keys.set(region, rkey)
    const known = { type: "register", region, rkey, access, span: span.share() } as const
    await Promise.all(this.movers.map((mover) => mover.ask((call) => ({ ...known, call }))))
    return { region, length: span.byteLength, rkeys: this.movers.map(() => rkey), iova: 0 }
  }

  async deregister(region: number): Promise<void> {
    this.spans.delete(region)
    this.#keys.delete(region)
    await Promise.all(this.movers.map((mover) => mover.ask((call) => ({ type: "deregister", region, call }))))
  }

  admit(session: Session, rights: Rights): Promise<void> {
    for (const mover of this.movers)
      mover.tell({ type: "admit", session: session.id, key: session.key, rights })
    return Promise.resolve()
  }

  async dismiss(sessionId: string): Promise<void> {
    const ours = [...this.connections.values()].filter((connection) => connection.session === sessionId)
    await Promise.all([
      ...ours.map((connection) => connection[Symbol.asyncDispose]()),
      ...this.movers.map((mover) => mover.ask((call) => ({ type: "dismiss", session: sessionId, call }))),
    ])
  }

  reaches(address: EndpointAddress): Reach {
    if (address.transport !== "tcp") return { usable: false, why: "the peer offers no tcp endpoint" }
    return parseAddress(address) === undefined
      ? { usable: false, why: "the peer's tcp address is malformed" }
      : { usable: true, why: "both sides speak tcp" }
  }

  async connect(session: Session, address: EndpointAddress, options: ConnectOptions): Promise<Connection> {
    const peer = parseAddress(address)
    if (peer === undefined) {
      throw new KvError("KV_PEER_REFUSED", { what: "the peer's tcp address is malformed" })
    }
    const id = this.#nextConnection++
    const connection = new TcpConnection(id, session.id, this, peer.ports.length)
    this.connections.set(id, connection)
    const deadlineMillis = toSharedMillis(options.deadline)
    const host = wildcards.has(peer.host) ? options.peerHost : peer.host
    this.movers.forEach((mover, rail) => {
      const port = peer.ports[rail % peer.ports.length]!
      const { id: name, key } = session
      const stream = {
        type: "connect",
        connection: id,
        host,
        port,
        session: name,
        key,
        deadlineMillis,
      } as const
      mover.tell({ ...stream, express: false })
      if (rail === 0 && this.desk !== undefined) mover.tell({ ...stream, express: true })
    })
    await connection.up
    return connection
  }

  /** Random, so that a key from an earlier life of this process does not open anything. */
  #freshKey(): number {
    const used = new Set(this.#keys.values())
    let rkey = randomInt(2 ** 32)
    while (used.has(rkey)) rkey = randomInt(2 ** 32)
    return rkey
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.connections.values()) connection.releaseExpress()
    await Promise.all(this.movers.map((mover) => mover.stop()))
    const error = new KvError("KV_PEER_LOST", { what: "this side closed the tcp endpoint" })
    for (const connection of [...this.connections.values()]) connection.streamLost(0, error)
    if (this.#closed) return
    this.#closed = true
    this.desk?.[Symbol.dispose]()
  }
}

/** "All addresses": where a peer listens on, never where it is reached. */
const wildcards = new Set(["0.0.0.0", "::"])

/** A peer's address from its card, checked: it crossed a wire. */
function parseAddress(
  address: EndpointAddress,
): { readonly host: string; readonly ports: readonly number[] } | undefined {
  const { host, ports } = address
  if (typeof host !== "string" || !Array.isArray(ports) || ports.length === 0) return undefined
  const good = ports.every(
    (port: unknown) => Number.isInteger(port) && Number(port) > 0 && Number(port) < 65536,
  )
  return good ? { host, ports: ports as number[] } : undefined
}
