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
  Reach,
  RegionDescriptor,
  Rights,
  Session,
} from "../transport.ts"
import { addressOf, parseAddress, reachOf } from "./nixl-address.ts"
import { NixlConnection } from "./nixl-connection.ts"
import { NixlThread } from "./nixl-thread-handle.ts"
import type { NixlEvent, NixlStart } from "./thread-messages.ts"

/** "All addresses": where a peer listens on, never where it is reached. */
const wildcards = new Set(["0.0.0.0", "::"])

/** One opened NIXL: an agent of it on a thread of its own, and the side channels beside it. */
export class NixlEndpoint implements Endpoint {
  readonly transport = "nixl"
  /** One: which NICs carry a request is for NIXL's backend to say. */
  readonly rails = 1
  readonly #start: Omit<NixlStart, "watch">
  readonly #spans = new Map<number, MemorySpan>()
  readonly #keys = new Map<number, number>()
  readonly #connections = new Map<number, NixlConnection>()
  readonly #moves = new Map<number, NixlConnection>()
  #thread!: NixlThread
  #nextConnection = 1

  private constructor(start: Omit<NixlStart, "watch">) {
    this.#start = start
  }

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE, KV_PORT_IN_USE, KV_OS. */
  static async open(start: Omit<NixlStart, "watch">): Promise<NixlEndpoint> {
    const endpoint = new NixlEndpoint(start)
    endpoint.#thread = await NixlThread.start(start, (event) => endpoint.#hear(event))
    return endpoint
  }

  get address(): EndpointAddress {
    const backends = this.#start.backends.map(({ name }) => name)
    return addressOf({ host: this.#start.host, port: this.#thread.port, backends })
  }

  async register(region: number, span: MemorySpan, access: Rights): Promise<RegionDescriptor> {
    assert(!this.#spans.has(region), `region ${region} is registered once: its old key would outlive it`)
    const rkey = this.#freshKey()
    this.#spans.set(region, span)
    this.#keys.set(region, rkey)
    try {
      const known = { type: "register", region, rkey, access, span: span.share() } as const
      await this.#thread.ask((call) => ({ ...known, call }))
    } catch (thrown) {
      this.#spans.delete(region)
      this.#keys.delete(region)
      throw thrown
    }
    return { region, length: span.byteLength, rkeys: [rkey], iova: 0 }
  }

  async deregister(region: number): Promise<void> {
    this.#spans.delete(region)
    this.#keys.delete(region)
    await this.#thread.ask((call) => ({ type: "deregister", region, call }))
  }

  async admit({ id, key }: Session, rights: Rights): Promise<void> {
    await this.#thread.ask((call) => ({ type: "admit", session: id, key, rights, call }))
  }

  async dismiss(sessionId: string): Promise<void> {
    await this.#thread.ask((call) => ({ type: "dismiss", session: sessionId, call }))
  }

  reaches(address: EndpointAddress): Reach {
    return reachOf(
      address,
      this.#start.backends.map(({ name }) => name),
    )
  }

  async connect(session: Session, address: EndpointAddress, options: ConnectOptions): Promise<Connection> {
    const { usable, why } = this.reaches(address)
    const peer = parseAddress(address)
    if (!usable || peer === undefined) {
      throw new KvError("KV_PEER_REFUSED", { what: "no nixl connection is made to this peer", why })
    }
    const id = this.#nextConnection++
    const connection = new NixlConnection({
      id,
      session: session.id,
      thread: this.#thread,
      spans: this.#spans,
      moves: this.#moves,
      onEnd: () => this.#connections.delete(id),
    })
    this.#connections.set(id, connection)
    this.#thread.tell({
      type: "connect",
      connection: id,
      session: session.id,
      key: session.key,
      host: wildcards.has(peer.host) ? options.peerHost : peer.host,
      port: peer.port,
      deadlineMillis: toSharedMillis(options.deadline),
      regions: (options.regions ?? []).map(({ region, rkeys }) => [region, rkeys[0] ?? 0] as const),
    })
    this.#thread.watch()
    await connection.up
    return connection
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.stop()
    const error = new KvError("KV_PEER_LOST", { what: "this side closed the nixl endpoint" })
    for (const connection of [...this.#connections.values()]) connection.abandon(error)
  }

  #hear(event: NixlEvent): void {
    if (event.type === "failed") {
      const told = kvErrorFromRecord(event.error, "KV_TRANSPORT_UNAVAILABLE")
      const error = (this.#thread as NixlThread | undefined)?.stuck
        ? new KvError(told.code, { ...told.toJSON(), mayStillWrite: true })
        : told
      const affected = new Set([...this.#connections.values(), ...this.#moves.values()])
      for (const connection of affected) connection.abandon(error)
    } else if ("connection" in event) this.#connections.get(event.connection)?.hear(event)
    else if ("move" in event) {
      this.#moves.get(event.move)?.hear(event)
      if (this.#moves.size === 0) this.#thread.rest()
    }
  }

  /** Random, so that a key from an earlier life of this process does not open anything. */
  #freshKey(): number {
    const used = new Set(this.#keys.values())
    let rkey = randomInt(2 ** 32)
    while (used.has(rkey)) rkey = randomInt(2 ** 32)
    return rkey
  }
}
