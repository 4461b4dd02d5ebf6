import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type { Crew } from "../../movers/crew.ts"
import { startTicksOf } from "../../os/process-identity.ts"
import { ProcessMemory } from "../../os/process-memory.ts"
import type {
  Connection,
  Endpoint,
  EndpointAddress,
  Reach,
  RegionDescriptor,
  Rights,
  Session,
  Transport,
} from "../transport.ts"
import { addressOf, parseAddress } from "./cma-address.ts"
import { CmaConnection } from "./cma-connection.ts"
import { OwnBeacon } from "./own-beacon.ts"
import { findBeacon, lookBytes, PeerBeacon } from "./peer-beacon.ts"
import { reachOf } from "./reach.ts"

/** How often connections without work look whether their peer is still there. */
const watchMillis = 500
/** How long a peer may take to end a write into our memory, and how often we look. */
const writersMillisMax = 5000
const writersLookMillis = 2

/**
 * Bytes straight from one process's memory into another's, by the kernel (`process_vm_readv`, `process_vm_writev`):
 * for memory that neither side can map, such as what another program allocated.
 *
 * It works between processes of one user on one machine. The kernel asks nobody: what grants and keys stop here is
 * this program, not another one of the same user.
 */
export function createCma(options: { readonly crew: Crew }): Transport {
  return {
    name: "cma",
    open: async () => {
      const memory = new ProcessMemory(lookBytes)
      const beacon = new OwnBeacon()
      const address = addressOf(beacon.address, beacon.token)
      const own = parseAddress(address)
      const answer = own === undefined ? "no machine" : findBeacon(memory, own)
      if (answer === "") return new CmaEndpoint(options.crew, memory, beacon, address)
      memory[Symbol.dispose]()
      beacon[Symbol.dispose]()
      throw unavailable(answer)
    },
  }
}

class CmaEndpoint implements Endpoint {
  readonly transport = "cma"
  /** One: the threads of a crew share each move, and none is tied to a part of it. */
  readonly rails = 1
  readonly address: EndpointAddress
  readonly #crew: Crew
  readonly #memory: ProcessMemory
  readonly #beacon: OwnBeacon
  readonly #spans = new Map<number, MemorySpan>()
  readonly #connections = new Set<CmaConnection>()
  #watch: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined

  constructor(crew: Crew, memory: ProcessMemory, beacon: OwnBeacon, address: EndpointAddress) {
    this.#crew = crew
    this.#memory = memory
    this.#beacon = beacon
    this.address = address
  }

  async register(region: number, span: MemorySpan, access: Rights): Promise<RegionDescriptor> {
    const rkey = this.#beacon.register(region, span, access)
    this.#spans.set(region, span)
    const iova = span.addressOf(0, span.byteLength)
    return { region, length: span.byteLength, rkeys: [rkey], iova }
  }

  async deregister(region: number): Promise<void> {
    this.#spans.delete(region)
    this.#beacon.deregister(region)
    await Promise.all([...this.#connections].map((connection) => connection.leaveRegion(region)))
    await this.#untilNobodyWrites()
  }

  async admit(session: Session, rights: Rights): Promise<void> {
    this.#beacon.admit(session, rights)
  }

  async dismiss(sessionId: string): Promise<void> {
    this.#beacon.dismiss(sessionId)
    const ours = [...this.#connections].filter(({ session }) => session === sessionId)
    await Promise.all(ours.map((connection) => connection[Symbol.asyncDispose]()))
    await this.#untilNobodyWrites(sessionId)
    this.#beacon.forget(sessionId)
  }

  reaches(address: EndpointAddress): Reach {
    return reachOf(address, this.#memory)
  }

  async connect(session: Session, address: EndpointAddress): Promise<Connection> {
    const reach = reachOf(address, this.#memory)
    const peer = parseAddress(address)
    if (!reach.usable || peer === undefined) {
      throw new KvError("KV_PEER_UNREACHABLE", { what: "the peer's memory cannot be read", why: reach.why })
    }
    const beacon = new PeerBeacon(this.#memory, peer, session)
    const connection = new CmaConnection({
      session: session.id,
      pid: peer.pid,
      crew: this.#crew,
      beacon,
      spans: this.#spans,
      onEnd: () => this.#forget(connection),
    })
    this.#connections.add(connection)
    this.#watch ??= setInterval(() => this.#look(), watchMillis).unref()
    return connection
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** A death or a dismissal is seen within this: no thread has to wait for it, and idle it costs 2 µs each time. */
  #look(): void {
    for (const connection of [...this.#connections]) connection.look()
  }

  #forget(connection: CmaConnection): void {
    this.#connections.delete(connection)
    if (this.#connections.size > 0) return
    clearInterval(this.#watch)
    this.#watch = undefined
  }

  async #close(): Promise<void> {
    this.#beacon.close()
    await Promise.all([...this.#connections].map((connection) => connection[Symbol.asyncDispose]()))
    try {
      await this.#untilNobodyWrites()
    } finally {
      this.#spans.clear()
      this.#beacon[Symbol.dispose]()
      this.#memory[Symbol.dispose]()
    }
  }

  /** A read of ours that comes late is thrown away by the peer. A write of a peer must have ended first. */
  async #untilNobodyWrites(session?: string): Promise<void> {
    const end = performance.now() + writersMillisMax
    for (;;) {
      const [writer] = this.#beacon.writers(session)
      if (writer === undefined) return
      if (performance.now() > end) {
        throw new KvError("KV_DEADLINE", {
          what: `process ${writer} has been writing into this memory for ${writersMillisMax} ms`,
          why: startTicksOf(writer) === undefined ? "it died" : "it was stopped in the midst of a write",
          next: `let it run or end it, then close the region again; until then its memory must not be used`,
        })
      }
      await new Promise((resolve) => setTimeout(resolve, writersLookMillis))
    }
  }
}

function unavailable(answer: string): KvError {
  return new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: "this process cannot read even its own memory through the kernel",
    why:
      answer === "no machine"
        ? "/proc does not say which machine this is"
        : `process_vm_readv answers ${answer}: a seccomp filter forbids it, or the kernel was built without it`,
    next: "allow process_vm_readv and process_vm_writev to the container, or take another path: shm, tcp",
  })
}
