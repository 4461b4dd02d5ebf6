import { randomInt } from "node:crypto"
import { assert } from "../../errors/assert.ts"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { toSharedMillis } from "../../os/clock.ts"
import { closeSocket } from "../../os/socket-pair.ts"
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
import type { AdoptCommand, ConnectCommand, MoverEvent } from "./mover-messages.ts"
import { MoverThread } from "./mover-thread-handle.ts"
import { SpinPermit } from "./spin-permit.ts"
import { TcpConnection } from "./tcp-connection.ts"
import { GateThread } from "./tls-gate-handle.ts"
import type { GateEvent } from "./tls-gate-messages.ts"

/** Whether what crosses the network can be read there. */
export type Encryption = "none" | "tls"

/** How the tcp transport is made. */
export interface TcpOptions {
  /**
   * `tls`: every stream is TLS 1.3, and both sides prove the session in its handshake. The peer must want the same.
   *
   * It copies, and small reads do not take the express way. `none` when absent: for a network that you trust.
   */
  readonly encryption?: Encryption
}

/**
 * Bytes over TCP streams, scattered and gathered straight from and into place.
 *
 * One mover thread per rail runs that rail's streams. Everything is refused that does not come from an admitted session.
 */
export function createTcp({ encryption = "none" }: TcpOptions = {}): Transport {
  return { name: "tcp", open: (options) => openTcp(options, encryption) }
}

/** The tcp transport as most use it: nothing encrypted, nothing copied. */
export const tcp: Transport = createTcp()

/**
 * How long a post of a small read looks for its answer by itself, in microseconds.
 *
 * About what handing the read to a mover costs: whoever waits that long in vain has lost at most as much again.
 */
const postSpinMicrosDefault = 50

/** One Int32: how many threads of this process spin just now. */
const spinners = new SharedArrayBuffer(4)

async function openTcp(options: EndpointOptions, encryption: Encryption): Promise<Endpoint> {
  const { host, postSpinMicros = postSpinMicrosDefault, moverSpinMicros = 0 } = options
  const tls = encryption === "tls"
  // The way through TLS takes longer than it makes sense to wait for.
  const endpoint = new TcpEndpoint(host, tls, tls ? 0 : postSpinMicros)
  const spin = { spinners, spinMicros: moverSpinMicros }
  try {
    for (let rail = 0; rail < options.rails; rail++) {
      const mover = await MoverThread.start(tls ? undefined : host, spin, (event) =>
        endpoint.hear(event, rail),
      )
      endpoint.movers.push(mover)
      if (!tls) continue
      endpoint.gates.push(await GateThread.start(host, (event) => endpoint.hearGate(event, rail)))
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
  /** One for each mover with TLS, none without. */
  readonly gates: GateThread[] = []
  readonly spans = new Map<number, MemorySpan>()
  readonly connections = new Map<number, TcpConnection>()
  readonly desk: ExpressDesk | undefined
  readonly #host: string
  readonly #tls: boolean
  readonly #keys = new Map<number, number>()
  #nextConnection = 1
  #closing = false
  #closed = false

  constructor(host: string, tls: boolean, postSpinMicros: number) {
    this.#host = host
    this.#tls = tls
    const permit = new SpinPermit(spinners, postSpinMicros)
    this.desk = permit.wanted ? new ExpressDesk(permit) : undefined
  }

  get rails(): number {
    return this.movers.length
  }

  get address(): EndpointAddress {
    const ports = (this.#tls ? this.gates : this.movers).map(({ port }) => port)
    return { transport: "tcp", host: this.#host, ports, ...(this.#tls ? { tls: 1 } : {}) }
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

  /** One event of one rail's gate. */
  hearGate(event: GateEvent, rail: number): void {
    if (event.type === "accepted") this.#give(rail, { type: "adopt", fd: event.fd })
    else if (event.type === "secured") {
      const { command, fd } = event
      if (this.connections.get(command.connection)?.usable === true) this.#give(rail, { ...command, fd })
      else closeSocket(fd)
    } else if (event.type === "failed" || event.type === "lost") this.hear(event, rail)
  }

  /** Gives a socket to a mover; one that has ended or is about to would never close it. */
  #give(rail: number, command: (AdoptCommand | ConnectCommand) & { readonly fd: number }): void {
    const mover = this.movers[rail]
    if (mover === undefined || mover.gone || this.#closing) closeSocket(command.fd)
    else mover.tell(command)
  }

  disconnect(connection: number): void {
    for (const thread of [...this.gates, ...this.movers]) {
      thread.tellQuietly({ type: "disconnect", connection })
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

  async admit({ id, key }: Session, rights: Rights): Promise<void> {
    for (const mover of this.movers) mover.tell({ type: "admit", session: id, key, rights })
    await Promise.all(
      this.gates.map((gate) => gate.ask((call) => ({ type: "admit", session: id, key, call }))),
    )
  }

  async dismiss(sessionId: string): Promise<void> {
    const ours = [...this.connections.values()].filter((connection) => connection.session === sessionId)
    for (const gate of this.gates) gate.tellQuietly({ type: "dismiss", session: sessionId })
    await Promise.all([
      ...ours.map((connection) => connection[Symbol.asyncDispose]()),
      ...this.movers.map((mover) => mover.ask((call) => ({ type: "dismiss", session: sessionId, call }))),
    ])
  }

  reaches(address: EndpointAddress): Reach {
    if (address.transport !== "tcp") return { usable: false, why: "the peer offers no tcp endpoint" }
    const peer = parseAddress(address)
    if (peer === undefined) return { usable: false, why: "the peer's tcp address is malformed" }
    if (peer.tls && !this.#tls)
      return { usable: false, why: "the peer wants TLS and this side does not offer it" }
    if (!peer.tls && this.#tls)
      return { usable: false, why: "this side wants TLS and the peer does not offer it" }
    return { usable: true, why: this.#tls ? "both sides speak tcp with TLS 1.3" : "both sides speak tcp" }
  }

  async connect(session: Session, address: EndpointAddress, options: ConnectOptions): Promise<Connection> {
    const peer = parseAddress(address)
    if (peer === undefined) {
      throw new KvError("KV_PEER_REFUSED", { what: "the peer's tcp address is malformed" })
    }
    const { usable, why } = this.reaches(address)
    if (!usable) {
      const next = "give both sides the same encryption"
      throw new KvError("KV_PEER_REFUSED", { what: "no tcp stream is made to this peer", why, next })
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
      const first = this.gates[rail] ?? mover
      first.tell({ ...stream, express: false })
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
    this.#closing = true
    for (const connection of this.connections.values()) connection.releaseExpress()
    await Promise.all([...this.movers, ...this.gates].map((thread) => thread.stop()))
    const error = new KvError("KV_PEER_LOST", { what: "this side closed the tcp endpoint" })
    for (const connection of [...this.connections.values()]) connection.streamLost(0, error)
    if (this.#closed) return
    this.#closed = true
    this.desk?.[Symbol.dispose]()
  }
}

/** "All addresses": where a peer listens on, never where it is reached. */
const wildcards = new Set(["0.0.0.0", "::"])

/** A peer's address from its grant, checked. */
interface PeerAddress {
  readonly host: string
  readonly ports: readonly number[]
  readonly tls: boolean
}

/** It crossed a wire: undefined when it is malformed. */
function parseAddress(address: EndpointAddress): PeerAddress | undefined {
  const { host, ports, tls } = address
  if (tls !== undefined && tls !== 1) return undefined
  if (typeof host !== "string" || !Array.isArray(ports) || ports.length === 0) return undefined
  const good = ports.every(
    (port: unknown) => Number.isInteger(port) && Number(port) > 0 && Number(port) < 65536,
  )
  return good ? { host, ports: ports as number[], tls: tls === 1 } : undefined
}
