import { randomBytes } from "node:crypto"
import { type Agent, type AgentTimes, openAgent as openCore } from "../agent/agent.ts"
import type { Notice } from "../agent/caller.ts"
import type { Credentials } from "../agent/credentials.ts"
import type { RdmaSettings } from "../config/rdma-settings.ts"
import { KvError } from "../errors/kv-error.ts"
import type { KvLayout } from "../kv/kv-layout.ts"
import type { MappingOptions } from "../memory/host-memory.ts"
import { KvPool } from "../memory/kv-pool.ts"
import type { CrewOptions } from "../movers/thread-crew.ts"
import { adoptBytes } from "../os/adopted-memory.ts"
import { monotonicClock } from "../os/clock.ts"
import { tcpControlNetwork } from "../os/control-net.ts"
import { hostMemory } from "../os/host-memory.ts"
import type { IntegrityLevel, Party, TransferReceipt } from "../receipt/receipt.ts"
import { type CredentialFiles, credentialsFrom } from "../serve/credentials.ts"
import { type Fabrics, openFabrics } from "../serve/fabrics.ts"
import { rdmaConfig } from "../serve/rdma-config.ts"
import { defaultPaths } from "../serve/transports.ts"
import { softwareVersion } from "../serve/version.ts"
import type { Encryption } from "../transport/tcp/tcp.ts"
import type { Rights } from "../transport/transport.ts"
import { Cache } from "./cache.ts"

/** How an agent is opened. Everything has a default that is safe on one machine. */
export interface AgentOptions extends CredentialFiles {
  /** Name for messages and receipts, 1 to 128 visible ASCII characters; made up when absent. */
  readonly name?: string
  /** What peers must have in common with us: a hash over the model, say. Agents that differ refuse each other. */
  readonly model?: string
  /**
   * Who is let in: a secret, or keys. In place of it, name the files that they are in: `secretFile`, or `trust` with
   * an `identity`, or all of them. The secret of this user's machine (`~/.kvferry/secret`) when all are absent.
   */
  readonly credentials?: Credentials
  /** Allowed transports, best first. */
  readonly paths?: readonly string[]
  /** Transports without which this agent does not start, and over nothing else of which it connects. */
  readonly require?: readonly string[]
  /** `tls`: what tcp carries is encrypted, and only peers that want the same are reached over it. `none` when absent. */
  readonly encryption?: Encryption
  /** Settings of RDMA that go before the environment's: `kvferry config show --origin` lists those. */
  readonly rdma?: Partial<Omit<RdmaSettings, "origins">>
  /** Numeric address to listen on. Loopback when absent: nobody on another machine reaches it. */
  readonly host?: string
  /** Port of the agent; a free one when absent. */
  readonly port?: number
  /** Streams to each peer, for transports that have them. */
  readonly rails?: number
  /** The threads that copy and hash. */
  readonly movers?: Partial<CrewOptions>
  /** What a transfer uses that asks for nothing: `full` when absent. */
  readonly integrity?: IntegrityLevel
  /** What no transfer of this agent goes below: `none` when absent. */
  readonly integrityFloor?: IntegrityLevel
  /** What peers may be granted: reading when absent. */
  readonly offers?: Rights
  readonly times?: Partial<AgentTimes>
  /** Hears of every finished transfer that this agent started. */
  readonly onReceipt?: (receipt: TransferReceipt) => void
  /** Hears what peers say to it: notifications, and notes at the end of leases. */
  readonly onNotice?: (notice: Notice) => void
  /** Hears what an operator should know: a path that could not be opened, say. */
  readonly onWarning?: (text: string) => void
}

/** What a cache is made of. */
export interface CacheOptions {
  readonly layout: KvLayout
  /** Pages and placement of its memory. */
  readonly memory?: MappingOptions
  /**
   * Memory of your own in place of it: one view of a `SharedArrayBuffer` for each layer, of blocks times block bytes.
   * `shm` cannot share that; `cma` and `tcp` carry it.
   */
  readonly regions?: readonly Uint8Array[]
}

/**
 * Opens an agent: its transports, and the threads that move bytes. Register a cache next.
 *
 * @example
 * ```ts
 * await using agent = await openAgent()
 * await using cache = await agent.registerCache({ layout })
 * ```
 * @throws KvError KV_USAGE for options that make no sense; KV_TRANSPORT_UNAVAILABLE when a required path, or every
 * allowed one, cannot be opened.
 */
export async function openAgent(options: AgentOptions = {}): Promise<KvAgent> {
  const credentials = credentialsOf(options)
  const paths = options.paths ?? defaultPaths
  const { settings, warnings } = rdmaConfig(paths, {})
  for (const warning of warnings) options.onWarning?.(warning)
  const fabrics = await openFabrics({
    paths,
    rdma: withOwn(settings, options.rdma),
    host: options.host ?? "127.0.0.1",
    rails: options.rails ?? 1,
    movers: options.movers,
    warn: options.onWarning,
    ...(options.require === undefined ? {} : { required: options.require }),
    ...(options.encryption === undefined ? {} : { encryption: options.encryption }),
  })
  return new KvAgent(options, credentials, fabrics)
}

/** The environment's settings with a program's own in their place. */
function withOwn(settings: RdmaSettings, own: AgentOptions["rdma"] = {}): RdmaSettings {
  const origins = Object.fromEntries(Object.keys(own).map((key) => [key, `openAgent({ rdma: { ${key} } })`]))
  return { ...settings, ...own, origins: { ...settings.origins, ...origins } }
}

/** Read once, here, but for the trust file: that is looked at again whenever a peer is let in. */
function credentialsOf({ credentials, secretFile, trust, identity }: AgentOptions): Credentials {
  const files = { secretFile, trust, identity }
  if (credentials === undefined) return credentialsFrom(files)
  const named = Object.entries(files).filter(([, file]) => file !== undefined)
  if (named.length === 0) return credentials
  throw new KvError("KV_USAGE", {
    what: `both credentials and ${named.map(([name]) => `\`${name}\``).join(", ")} were given`,
    why: "one of them would be passed over in silence",
    next: "give the files, or make the credentials with credentialsFrom()",
  })
}

/** One process's side of all transfers: its transports, its threads, and the cache that it shares. */
export class KvAgent implements AsyncDisposable {
  readonly party: Party
  /** Transports that are open, best first. */
  readonly paths: readonly string[]
  readonly #options: AgentOptions
  readonly #credentials: Credentials
  readonly #fabrics: Fabrics
  #cache: Promise<Cache> | undefined
  #closed = false

  /** @internal For `openAgent` alone. */
  constructor(options: AgentOptions, credentials: Credentials, fabrics: Fabrics) {
    const bootId = randomBytes(16).toString("hex")
    this.party = { pid: process.pid, agentId: options.name ?? `agent-${bootId.slice(0, 6)}`, bootId }
    this.paths = fabrics.endpoints.map(({ transport }) => transport)
    this.#options = options
    this.#credentials = credentials
    this.#fabrics = fabrics
  }

  /**
   * Makes the memory of a cache, registers it with every transport, and listens for peers. An agent has one cache.
   * @throws KvError KV_USAGE for a second one, or a layout that makes no sense; KV_OS when the machine has not that
   * much memory; KV_PORT_IN_USE.
   */
  registerCache(options: CacheOptions): Promise<Cache> {
    if (this.#closed) return Promise.reject(new KvError("KV_CANCELLED", { what: "this agent was closed" }))
    if (this.#cache !== undefined) {
      const text = { what: "this agent has a cache already", next: "open another agent for another cache" }
      return Promise.reject(new KvError("KV_USAGE", text))
    }
    const cache = this.#register(options)
    this.#cache = cache
    cache.catch(() => {
      this.#cache = undefined
    })
    return cache
  }

  /** Closes the cache, if it is open, then transports and threads. Transfers that run end first. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const cache = await this.#cache?.catch(() => undefined)
    await cache?.[Symbol.asyncDispose]()
    await this.#fabrics[Symbol.asyncDispose]()
  }

  async #register({ layout, memory, regions }: CacheOptions): Promise<Cache> {
    const { model = "any", host = "127.0.0.1", port = 0, ...options } = this.#options
    const pool = new KvPool(layout, hostMemory, {
      populate: true,
      ...memory,
      ...(regions === undefined ? {} : { regions: regions.map(adoptBytes) }),
    })
    let agent: Agent | undefined
    try {
      agent = await openCore({
        ...options,
        party: this.party,
        software: softwareVersion(),
        model,
        credentials: this.#credentials,
        layout,
        spans: pool.spans,
        epochs: pool.epochs,
        endpoints: this.#fabrics.endpoints,
        policy: this.#fabrics.policy,
        network: tcpControlNetwork,
        clock: monotonicClock,
        memory: hostMemory,
        hasher: this.#fabrics.crew,
      })
      const listening = await agent.listen(host, port)
      return new Cache(agent, pool, listening)
    } catch (thrown) {
      await agent?.[Symbol.asyncDispose]()
      pool[Symbol.dispose]()
      throw thrown
    }
  }
}
