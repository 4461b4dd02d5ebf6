import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type {
  Connection,
  ConnectOptions,
  Endpoint,
  EndpointAddress,
  RailCounts,
  RailFacts,
  Reach,
  RegionDescriptor,
  Rights,
  Session,
} from "../transport.ts"
import type { RdmaDriver } from "./driver.ts"
import { type Introduction, IntroductionListener, type IntroductionOwner, introduce } from "./introduction.ts"
import { Lanes, type RunningRail } from "./lanes.ts"
import { readRailCounts } from "./rail-counts.ts"
import type { RailEvent } from "./rail-messages.ts"
import { type ConnectionOwner, RdmaConnection } from "./rdma-connection.ts"
import { RegionBook } from "./region-book.ts"
import { ServedConnection, type ServingOwner } from "./served-connection.ts"
import type { SideChannel } from "./side-channel.ts"
import { lanesMax } from "./side-messages.ts"

/** What an endpoint is made of. */
export interface RdmaParts {
  readonly driver: RdmaDriver
  readonly host: string
  readonly rails: readonly RunningRail[]
  readonly sliceBytes: number
  /** How much each rail carries beside the others; undefined where all are alike. */
  readonly weights: readonly number[] | undefined
  readonly registrationsAtOnce: number
  readonly registrationBytes: number | undefined
  /** What each rail's thread has done so far. */
  readonly counts: readonly SharedArrayBuffer[]
  /** Ends the threads and closes the rails, when nothing else is left. */
  close(): Promise<void>
}

/** "All addresses": where a peer listens on, never where it is reached. */
const wildcards = new Set(["0.0.0.0", "::"])

/** One process on an RDMA fabric: its rails, its regions, and the connections in both directions. */
export class RdmaEndpoint implements Endpoint, IntroductionOwner, ConnectionOwner, ServingOwner {
  readonly transport: string
  readonly railWeights?: readonly number[]
  readonly sessions = new Map<string, { readonly key: Uint8Array; readonly rights: Rights }>()
  readonly connections = new Map<number, RdmaConnection>()
  readonly served = new Set<ServedConnection>()
  readonly lanes: Lanes
  readonly book: RegionBook
  readonly sliceBytes: number
  /** Units and bytes that one lane has under way at most. */
  readonly window = { depth: 256, bytesMax: 16 * 1024 * 1024 } as const
  readonly running: readonly RunningRail[]
  readonly #parts: RdmaParts
  #listener: IntroductionListener | undefined
  /** Sessions whose transfers a rail may still be carrying out that has not come back. */
  readonly #haunted = new Set<string>()
  #nextConnection = 1
  #closed: Promise<void> | undefined

  constructor(parts: RdmaParts) {
    this.#parts = parts
    this.transport = parts.driver.name
    this.running = parts.rails
    if (parts.weights !== undefined) this.railWeights = parts.weights
    this.sliceBytes = parts.sliceBytes
    this.lanes = new Lanes(parts.rails)
    this.book = new RegionBook(
      parts.rails.map(({ rail }) => rail),
      parts.registrationsAtOnce,
      parts.registrationBytes,
      (rail) => parts.rails[rail]!.thread.stuck !== undefined,
    )
  }

  get rails(): number {
    return this.running.length
  }

  get address(): EndpointAddress {
    return {
      transport: this.transport,
      host: this.#parts.host,
      port: this.#listener!.port,
      links: this.#links(),
    }
  }

  /** @throws KvError KV_OS, KV_PORT_IN_USE. */
  async listen(): Promise<void> {
    this.#listener = await IntroductionListener.open(this.#parts.host, this)
  }

  /** One event of one rail's thread. */
  hear(event: RailEvent, rail: number): void {
    if (event.type === "left")
      for (const connection of this.connections.values()) connection.hear(event, rail)
    else if (event.type === "failed") {
      const { stuck } = this.running[rail]!.thread
      const error = stuck ?? kvErrorFromRecord(event.error, "KV_TRANSPORT_UNAVAILABLE")
      const moveError = stuck === undefined ? error : mayStillWrite(stuck)
      this.lanes.railGone(rail)
      if (stuck !== undefined) {
        for (const { session } of [...this.connections.values(), ...this.served]) this.#haunted.add(session)
        for (const served of [...this.served]) void served.end(stuck.what)
      }
      for (const connection of [...this.connections.values()]) connection.railGone(rail, error, moveError)
    } else this.lanes.hear(event)
  }

  /** Why nothing new begins here: a rail has not come back from its library. */
  get #stuck(): KvError | undefined {
    return this.running.find(({ thread }) => thread.stuck !== undefined)?.thread.stuck
  }

  introduce(): Introduction {
    return { rails: this.running.map(({ rail }) => rail.card), partBytes: this.book.partBytes }
  }

  welcomed(channel: SideChannel, session: string, rights: Rights): void {
    const served = new ServedConnection(this, channel, session, rights, this.#nextConnection++)
    this.served.add(served)
    if (this.#stuck !== undefined) void served.end(this.#stuck.what)
    else if (!this.tellsRefusals) served.announce()
  }

  get tellsRefusals(): boolean {
    return this.#parts.driver.tellsRefusals
  }

  async register(region: number, span: MemorySpan, access: Rights): Promise<RegionDescriptor> {
    if (this.#stuck !== undefined) throw this.#stuck
    this.#parts.driver.checkRegistration?.(span.byteLength, this.rails)
    const descriptor = await this.book.register(region, span, access)
    if (!this.tellsRefusals) for (const served of this.served) served.announce(region)
    return descriptor
  }

  describe(): readonly RailFacts[] {
    const registered = this.book.flags.join("; ")
    return this.running.map(({ rail }, at) => ({
      rail: at,
      device: String(rail.card.device),
      registered,
      facts: { ...rail.facts, "regions registered with": registered || "none yet" },
    }))
  }

  railCounts(): readonly RailCounts[] {
    return this.#parts.counts.map(readRailCounts)
  }

  async deregister(region: number): Promise<void> {
    const booked = this.book.remove(region)
    if (booked === undefined) return
    await Promise.all([
      ...[...this.connections.values()].map((connection) => connection.forget(region)),
      ...(this.tellsRefusals ? [] : [...this.served].map((served) => served.withdraw(region))),
    ])
    await this.book.close(booked)
    if (this.#stuck !== undefined) throw mayStillWrite(this.#stuck)
  }

  admit({ id, key }: Session, rights: Rights): Promise<void> {
    this.sessions.set(id, { key, rights })
    return Promise.resolve()
  }

  async dismiss(sessionId: string): Promise<void> {
    this.sessions.delete(sessionId)
    await Promise.all([
      ...[...this.connections.values()]
        .filter(({ session }) => session === sessionId)
        .map((connection) => connection[Symbol.asyncDispose]()),
      ...[...this.served]
        .filter(({ session }) => session === sessionId)
        .map((served) => served.end("the session was ended")),
    ])
    if (this.#stuck !== undefined && this.#haunted.has(sessionId)) throw mayStillWrite(this.#stuck)
  }

  reaches(address: EndpointAddress): Reach {
    if (address.transport !== this.transport)
      return { usable: false, why: `the peer offers no ${this.transport} endpoint` }
    if (this.#stuck !== undefined) return { usable: false, why: this.#stuck.what }
    const peer = parseAddress(address)
    if (peer === undefined) return { usable: false, why: `the peer's ${this.transport} address is malformed` }
    const ours = this.#links()
    const common = peer.links.filter((link) => ours.includes(link))
    if (common.length > 0) return { usable: true, why: `both sides have rails on ${common.join(", ")}` }
    return {
      usable: false,
      why: `the peer's rails are on ${peer.links.join(", ")}, and this side's on ${ours.join(", ")}`,
    }
  }

  async connect(session: Session, address: EndpointAddress, options: ConnectOptions): Promise<Connection> {
    const peer = parseAddress(address)
    if (peer === undefined || address.transport !== this.transport)
      throw new KvError("KV_PEER_REFUSED", { what: `the peer's ${this.transport} address is malformed` })
    if (this.#stuck !== undefined) throw this.#stuck
    const { usable, why } = this.reaches(address)
    if (!usable)
      throw new KvError("KV_PEER_UNREACHABLE", { what: `${this.transport} does not reach the peer`, why })
    if (this.#closed !== undefined)
      throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
        what: `this side closed its ${this.transport} endpoint`,
      })
    const host = wildcards.has(peer.host) ? options.peerHost : peer.host
    const welcome = await introduce(host, peer.port, session, options.deadline)
    const pairs = this.#parts.driver
      .pair(
        this.running.map(({ rail }) => rail.card),
        welcome.rails,
      )
      .slice(0, lanesMax)
      .toSorted((a, b) => a.local - b.local)
    const connection = new RdmaConnection(this.#nextConnection++, session.id, this, welcome, pairs)
    this.connections.set(connection.id, connection)
    await connection.open()
    return connection
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async #close(): Promise<void> {
    this.sessions.clear()
    await Promise.all([...this.connections.values()].map((connection) => connection[Symbol.asyncDispose]()))
    await Promise.all(
      [...this.served].map((served) => served.end(`the peer closed its ${this.transport} endpoint`)),
    )
    await this.#listener?.[Symbol.asyncDispose]()
    await this.book.closeAll()
    await this.#parts.close()
  }

  #links(): string[] {
    return [...new Set(this.running.map(({ rail }) => rail.card.link))]
  }
}

/** The error for memory that a library which has not come back may still write into. */
function mayStillWrite({ code, what, why }: KvError): KvError {
  return new KvError(code, {
    what,
    ...(why === undefined ? {} : { why }),
    next: "do not use the memory of these transfers again: end this process",
    mayStillWrite: true,
  })
}

/** A peer's address from its grant, checked. */
interface PeerAddress {
  readonly host: string
  readonly port: number
  readonly links: readonly string[]
}

/** It crossed a wire: undefined when it is malformed. */
function parseAddress({ host, port, links }: EndpointAddress): PeerAddress | undefined {
  const good =
    typeof host === "string" &&
    Number.isInteger(port) &&
    Number(port) > 0 &&
    Number(port) < 65536 &&
    Array.isArray(links) &&
    links.every((link) => typeof link === "string" && /^[\x20-\x7e]{1,32}$/.test(link))
  return good ? { host, port: Number(port), links: links as string[] } : undefined
}
