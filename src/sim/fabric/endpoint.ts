import { timingSafeEqual } from "node:crypto"
import { assert } from "../../errors/assert.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type {
  Connection,
  ConnectOptions,
  EndpointAddress,
  Reach,
  RegionDescriptor,
  Rights,
  Session,
} from "../../transport/transport.ts"
import { SimMapping } from "../memory.ts"
import type { SimProcess } from "../process.ts"
import { SimConnection } from "./connection.ts"
import { lostPeer } from "./fabric-errors.ts"
import type { Admitted, ConnectionPart, EndpointPart, FabricPart } from "./parts.ts"

/** Longest time that an endpoint takes to stop what is under way, in milliseconds. */
export const stopMillisMax = 2

/** One simulated fabric opened in one simulated process. */
export class SimEndpoint implements EndpointPart {
  readonly transport: string
  readonly rails: number
  readonly address: EndpointAddress
  readonly token: string
  readonly fabric: FabricPart
  readonly process: SimProcess
  readonly regions = new Map<number, SimMapping>()
  readonly keys = new Map<number, number>()
  readonly sessions = new Map<string, Admitted>()
  readonly connections = new Set<ConnectionPart>()
  /** Keys count from 0 in each life, as those of libfabric do: a key of the last life opens something in this one. */
  #nextKey = 0
  #open = true

  constructor(
    fabric: FabricPart & { readonly name: string },
    process: SimProcess,
    rails: number,
    token: string,
  ) {
    this.fabric = fabric
    this.process = process
    this.transport = fabric.name
    this.rails = rails
    this.token = token
    this.address = { transport: fabric.name, host: process.host, endpoint: token }
    process.onDeath(() => this.#processDied())
  }

  get open(): boolean {
    return this.#open
  }

  register(region: number, span: MemorySpan, _access: Rights): Promise<RegionDescriptor> {
    assert(span instanceof SimMapping, "a simulated fabric moves bytes of simulated memory")
    assert(!this.regions.has(region), `region ${region} is registered once`)
    const key = this.#nextKey++
    this.regions.set(region, span)
    this.keys.set(region, key)
    const rkeys = Array<number>(this.rails).fill(key)
    return Promise.resolve({ region, length: span.byteLength, rkeys, iova: 0 })
  }

  deregister(region: number): Promise<void> {
    this.regions.delete(region)
    this.keys.delete(region)
    return this.#soon(() => {})
  }

  admit(session: Session, rights: Rights): Promise<void> {
    return this.#soon(() => {
      if (this.#open) this.sessions.set(session.id, { key: session.key, rights, leaving: false })
    })
  }

  dismiss(sessionId: string): Promise<void> {
    const admitted = this.sessions.get(sessionId)
    if (admitted !== undefined) admitted.leaving = true
    if (this.fabric.lies("dismisses-late")) {
      this.sessions.delete(sessionId)
      return Promise.resolve()
    }
    const cut = (): void => {
      this.sessions.delete(sessionId)
      for (const connection of [...this.connections]) {
        if (connection.session.id === sessionId) connection.fail(lostPeer("the session was ended"))
      }
    }
    return this.#soon(cut)
  }

  reaches(address: EndpointAddress): Reach {
    if (address.transport !== this.transport) {
      return { usable: false, why: `the peer offers no ${this.transport} endpoint` }
    }
    if (this.fabric.kind === "mapped" && address["host"] !== this.process.host) {
      return { usable: false, why: "the peer is on another host" }
    }
    return { usable: true, why: this.fabric.kind === "mapped" ? "one host" : "a network" }
  }

  connect(session: Session, address: EndpointAddress, options: ConnectOptions): Promise<Connection> {
    const { links } = this.fabric
    const host = String(address["host"])
    return new Promise((resolve, reject) => {
      let waiting = true
      const settle = (action: () => void): void => {
        if (!waiting) return
        waiting = false
        cancelTimer()
        action()
      }
      const cancelTimer = this.process.clock.after(options.deadline - this.process.clock.now(), () =>
        settle(() =>
          reject(new KvError("KV_DEADLINE", { what: `${host} let nobody in before the deadline` })),
        ),
      )
      const wanted = (): boolean => waiting && this.process.state !== "dead"
      const answer = (action: () => void): void =>
        links.surely(host, this.process.host, wanted, () => this.process.deliver(() => settle(action)))
      links.surely(this.process.host, host, wanted, () => {
        const peer = this.fabric.endpoints.get(String(address["endpoint"]))
        if (peer === undefined) {
          const what = `no open ${this.transport} endpoint has that address`
          return answer(() => reject(new KvError("KV_PEER_UNREACHABLE", { what })))
        }
        peer.process.deliver(() => {
          const connection = peer.letIn(this, session)
          if (connection === undefined) {
            const what = "the peer does not know this session"
            return answer(() => reject(new KvError("KV_PEER_UNTRUSTED", { what })))
          }
          // The caller may be gone when the answer comes: then nobody uses the connection, and it goes with its session.
          answer(() => resolve(connection))
        })
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open = false
    this.fabric.endpoints.delete(this.token)
    await this.#soon(() => {
      for (const connection of [...this.connections]) connection.fail(lostPeer("the endpoint was closed"))
      this.regions.clear()
      this.keys.clear()
      this.sessions.clear()
    })
  }

  letIn(caller: EndpointPart, session: Session): Connection | undefined {
    const admitted = this.sessions.get(session.id)
    const known = admitted !== undefined && !admitted.leaving && timingSafeEqual(admitted.key, session.key)
    if (!this.#open || !(known || this.fabric.lies("asks-nobody"))) return undefined
    return new SimConnection(caller, this, session)
  }

  /** Does something in this process after the time that threads and hardware need. */
  #soon(action: () => void): Promise<void> {
    const millis = this.fabric.world.random.fabric.millis(0, stopMillisMax)
    return new Promise((resolve) => {
      this.process.later(millis, () => {
        action()
        resolve()
      })
    })
  }

  #processDied(): void {
    this.#open = false
    for (const connection of [...this.connections]) connection.processDied(this)
  }
}
