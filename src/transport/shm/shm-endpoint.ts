import { randomInt } from "node:crypto"
import { assert } from "../../errors/assert.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { HostMapping, MemorySpan } from "../../memory/host-memory.ts"
import type { Crew } from "../../movers/crew.ts"
import type { MachineIdentity } from "../../os/machine-identity.ts"
import { seal, sealsOf } from "../../os/seals.ts"
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
import { borrow } from "./borrower-socket.ts"
import type { Lender, LentRegion } from "./lender.ts"
import { populateInTurns } from "./populate-in-turns.ts"
import { rejected } from "./remote-regions.ts"
import { slotsMax } from "./session-page.ts"
import { parseShmAddress, reachOf, toEndpointAddress } from "./shm-address.ts"
import { ShmConnection } from "./shm-connection.ts"
import { type Admitted, type ListenerOwner, ShmListener } from "./shm-listener.ts"

/** Regions of one endpoint: a session page can speak of no more. */
const regionsMax = slotsMax

/** Shared memory of one process: it lends its own regions, and borrows those of peers. */
export class ShmEndpoint implements Endpoint, ListenerOwner {
  readonly transport = "shm"
  /** Memory is one way out. How many threads copy is the crew's business. */
  readonly rails = 1
  readonly address: EndpointAddress
  readonly sessions = new Map<string, Admitted>()
  readonly regions = new Map<number, LentRegion>()
  readonly lenders = new Set<Lender>()
  readonly crew: Crew
  readonly local = { spans: new Map<number, MemorySpan>(), removals: 0 }
  readonly #machine: MachineIdentity
  readonly #connections = new Set<ShmConnection>()
  #listener: ShmListener | undefined
  #closed = false

  constructor(crew: Crew, machine: MachineIdentity, socket: string) {
    this.crew = crew
    this.#machine = machine
    this.address = toEndpointAddress({ ...machine, socket })
  }

  /** @throws KvError KV_OS, KV_PORT_IN_USE. */
  static async open(crew: Crew, machine: MachineIdentity, socket: string): Promise<ShmEndpoint> {
    const endpoint = new ShmEndpoint(crew, machine, socket)
    endpoint.#listener = await ShmListener.open(socket, endpoint)
    return endpoint
  }

  /**
   * Seals the span's memory file for good: its size, and unless `access` has `write`, against every writer but the
   * mappings that exist now. Its page faults are taken here. The same memory may be registered more than once.
   * @throws KvError KV_USAGE for memory that is no memory file, or is sealed against the access asked for; KV_LIMIT,
   *   KV_OS.
   */
  async register(region: number, span: MemorySpan, access: Rights): Promise<RegionDescriptor> {
    assert(!this.local.spans.has(region), `region ${region} is registered once: its old key would outlive it`)
    if (this.regions.size >= regionsMax) {
      throw new KvError("KV_LIMIT", { what: `${regionsMax} regions are registered with shm already` })
    }
    const mapping = fileOf(region, span)
    if (access.write && mapping.reserved) {
      throw new KvError("KV_USAGE", {
        what: `region ${region} lies in reserved huge pages, and shm cannot let a peer write there`,
        why: "without the seal against writers a hole can be made in such a file, and kills whoever looks at it",
        next: 'map its memory with `pages: "transparent"`, or grant reads only',
      })
    }
    if (access.write && sealsOf(mapping.fd)?.futureWrites === true) {
      throw new KvError("KV_USAGE", {
        what: `region ${region} cannot be granted for writing`,
        why: "its memory was registered for reading before, and that seal is for ever",
        next: "take new memory for it",
      })
    }
    seal(mapping.fd, { size: true, futureWrites: !access.write })
    this.local.spans.set(region, span)
    try {
      await populateInTurns(mapping)
    } catch (thrown) {
      this.local.spans.delete(region)
      throw thrown
    }
    const rkey = this.#freshKey()
    this.regions.set(region, { rkey, fd: mapping.fd, length: span.byteLength, access })
    return { region, length: span.byteLength, rkeys: [rkey], iova: 0 }
  }

  /**
   * Resolves when no honest peer has the region mapped any more, and none of our own transfers uses it. What a peer
   * that is stopped reads later does not count: its key is dead. See `docs/paths.md` for what cannot be promised.
   * @throws KvError KV_PEER_LOST when a peer that may write to it did not give it back: do not use the memory again.
   */
  async deregister(region: number): Promise<void> {
    const span = this.local.spans.get(region)
    this.local.spans.delete(region)
    this.local.removals += 1
    this.regions.delete(region)
    if (span === undefined) return
    const error = rejected(region, "this side closed it")
    await all([
      ...[...this.#connections].map((connection) => connection.forget(span, error)),
      ...[...this.lenders].map((lender) => lender.recall(region)),
    ])
  }

  admit(session: Session, rights: Rights): Promise<void> {
    this.sessions.set(session.id, { key: session.key, rights })
    return Promise.resolve()
  }

  /** @throws KvError KV_PEER_LOST as `deregister`, for every region that the session might write to. */
  async dismiss(sessionId: string): Promise<void> {
    this.sessions.delete(sessionId)
    const of = <T extends { readonly session: string }>(set: ReadonlySet<T>): T[] =>
      [...set].filter(({ session }) => session === sessionId)
    await all([
      ...of(this.#connections).map((connection) => connection.end("the session was ended")),
      ...of(this.lenders).map((lender) => lender.end()),
    ])
  }

  reaches(address: EndpointAddress): Reach {
    return reachOf(address, this.#machine)
  }

  /** @throws KvError also KV_RKEY_REJECTED, KV_PEER_REFUSED, KV_WIRE_INVALID, KV_LIMIT, KV_OS. */
  async connect(session: Session, address: EndpointAddress, options: ConnectOptions): Promise<Connection> {
    const peer = parseShmAddress(address)
    if (peer === undefined)
      throw new KvError("KV_PEER_REFUSED", { what: "the peer's shm address is malformed" })
    const { usable, why } = this.reaches(address)
    if (!usable) throw new KvError("KV_PEER_UNREACHABLE", { what: "shm does not reach the peer", why })
    const connection = new ShmConnection(
      this,
      session.id,
      await borrow(peer.socket, session, options.deadline),
    )
    this.#connections.add(connection)
    try {
      await connection.map(options.regions ?? [], options.deadline)
      if (this.#closed) throw new KvError("KV_PEER_LOST", { what: "this side closed the shm endpoint" })
      return connection
    } catch (thrown) {
      await connection[Symbol.asyncDispose]()
      throw thrown
    }
  }

  lenderGone(lender: Lender): void {
    this.lenders.delete(lender)
  }

  connectionGone(connection: ShmConnection): void {
    this.#connections.delete(connection)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.sessions.clear()
    this.regions.clear()
    await Promise.all([
      ...[...this.#connections].map((connection) => connection.end("this side closed the shm endpoint")),
      // A writer that does not answer keeps only pages that nobody uses again: their owner closes them after us.
      ...[...this.lenders].map((lender) => lender.end().catch(() => {})),
      this.#listener?.[Symbol.asyncDispose](),
    ])
    this.local.spans.clear()
    this.local.removals += 1
  }

  /** Random, so that a key from an earlier life of this process does not open anything. */
  #freshKey(): number {
    const used = new Set([...this.regions.values()].map(({ rkey }) => rkey))
    let rkey = randomInt(2 ** 32)
    while (used.has(rkey)) rkey = randomInt(2 ** 32)
    return rkey
  }
}

/** @throws KvError KV_USAGE when there is no file that another process could map. */
function fileOf(region: number, span: MemorySpan): HostMapping {
  if ("fd" in span && typeof span.fd === "number" && span.fd >= 0 && "populate" in span) {
    return span as HostMapping
  }
  throw new KvError("KV_USAGE", {
    what: `region ${region} cannot be carried by shm`,
    why: "its memory is no memfd of this process, so there is no file that a peer could map",
    next: "take its memory from hostMemory.map(), or allow other paths (--paths)",
  })
}

/** Waits for all of them, then passes on the first failure: one stuck peer does not leave the others undone. */
async function all(actions: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(actions)) {
    if (result.status === "rejected") throw result.reason
  }
}
