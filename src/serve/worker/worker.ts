import { randomBytes } from "node:crypto"
import { lookup } from "node:dns/promises"
import { networkInterfaces } from "node:os"
import { type Agent, openAgent } from "../../agent/agent.ts"
import { reasons } from "../../agent/choose-path.ts"
import type { Credentials } from "../../agent/credentials.ts"
import type { Peer } from "../../agent/peer.ts"
import type { RdmaSettings } from "../../config/rdma-settings.ts"
import { KvError, type KvErrorRecord } from "../../errors/kv-error.ts"
import { blocksFor, type KvLayout, type KvOrder, wholeModelLayout } from "../../kv/kv-layout.ts"
import { KvPool } from "../../memory/kv-pool.ts"
import { monotonicClock } from "../../os/clock.ts"
import { tcpControlNetwork } from "../../os/control-net.ts"
import { hostMemory } from "../../os/host-memory.ts"
import type { IntegrityLevel, Party, TransferReceipt } from "../../receipt/receipt.ts"
import { ReceiptLog } from "../../records/receipt-log.ts"
import type { Encryption } from "../../transport/tcp/tcp.ts"
import { type FaultRequest, plantFault } from "../../verify/faults.ts"
import type { StoredSequence } from "../../verify/fingerprint.ts"
import type { Decoded, Prefilled } from "../engine-thread/engine-thread.ts"
import { EngineThread } from "../engine-thread/engine-thread.ts"
import type { ModelSource } from "../engine-thread/messages.ts"
import { type Fabrics, openFabrics } from "../fabrics.ts"
import type { DecodeRequest, Evidence, PrefillAnswer, PrefillRequest, WorkerHealth } from "../protocol.ts"
import { softwareVersion } from "../version.ts"
import { evidenceOf } from "./evidence.ts"

/** Which half of a request a worker does. */
export type WorkerRole = "prefill" | "decode"

/** How a worker is set up. */
export interface WorkerOptions {
  readonly role: WorkerRole
  readonly source: ModelSource
  /** What the agent proves, and what it wants proven. */
  readonly credentials: Credentials
  /** Address of the agent and the streams; loopback unless the operator asked for more. */
  readonly host: string
  /** Address that peers are told; that of `host` unless it means "all addresses". */
  readonly advertise?: string
  /** The agent's port; 0 takes a free one. */
  readonly agentPort: number
  /** Blocks in the pool; four full contexts unless told. */
  readonly blocks?: number
  readonly blockTokens?: number
  readonly order?: KvOrder
  readonly paths: readonly string[]
  /** Paths of which nothing else may take the place. */
  readonly required?: readonly string[]
  /** What tcp does with its streams; `none` when absent. */
  readonly encryption?: Encryption
  /** What an operator decides of RDMA; the defaults when absent. */
  readonly rdma?: RdmaSettings
  /** Folder that takes the receipts; none is written without one. */
  readonly receipts?: string
  /** Hears what its operator should know and no request fails for. */
  readonly warn?: (text: string) => void
  readonly rails: number
  readonly integrity: IntegrityLevel
  /** What no transfer goes below; `none` when absent. */
  readonly integrityFloor?: IntegrityLevel
  /** How long a reader may be silent before its blocks are taken back; 10 s when absent. */
  readonly holdMillis?: number
  readonly leaseMillis: number
  readonly transferMillis: number
  /** Damage that is planted into the pool behind each transfer: before its proof, or after it. */
  readonly inject?: { readonly request: FaultRequest; readonly at: "landing" | "pool" }
}

/** What a decode request tells while it runs. */
export interface DecodeListener {
  /** The blocks are here and proven. */
  transferred(receipt: TransferReceipt): void
  token(index: number, token: number): void
}

/** How a decode request ended. */
export interface DecodeOutcome extends Decoded {
  readonly evidence?: Evidence
}

/** A transfer that did not end delivered: its receipt, and what had arrived where evidence was asked for. */
export class TransferFailed extends KvError {
  readonly receipt: TransferReceipt
  readonly evidence: Evidence | undefined

  constructor(receipt: TransferReceipt, error: KvErrorRecord, evidence: Evidence | undefined) {
    super(error.code, error)
    this.receipt = receipt
    this.evidence = evidence
  }
}

/** Prefill calls whose leases can still be released by the call's name. */
const callsRemembered = 4096

/** Peers of whom it is remembered that their path was told. */
const peersTold = 1024

/** Contexts that the default pool holds. */
const defaultContexts = 4

/** A model, its pool and its agent in one process: everything of a worker but its HTTP port. */
export class KvWorker implements AsyncDisposable {
  readonly role: WorkerRole
  readonly party: Party
  readonly engine: EngineThread
  readonly pool: KvPool
  readonly agent: Agent
  /** `host:port` of the agent. */
  readonly agentAddress: string
  readonly #options: WorkerOptions
  readonly #fabrics: Fabrics
  readonly #leaseOfCall = new Map<string, string>()
  readonly #receipts: ReceiptLog | undefined
  readonly #toldPeers = new Set<string>()
  /** A block that an earlier request has left, kept for the fault that needs one. */
  #staleBlock: number | undefined

  constructor(
    options: WorkerOptions,
    party: Party,
    engine: EngineThread,
    pool: KvPool,
    agent: Agent,
    agentAddress: string,
    fabrics: Fabrics,
    receipts?: ReceiptLog,
  ) {
    this.role = options.role
    this.party = party
    this.engine = engine
    this.pool = pool
    this.agent = agent
    this.agentAddress = agentAddress
    this.#options = options
    this.#fabrics = fabrics
    this.#receipts = receipts
  }

  /** Receipts that could not be written to their folder. */
  get receiptsLost(): number {
    return this.#receipts?.lost ?? 0
  }

  get health(): WorkerHealth {
    const { name, fingerprint, contextTokens, vocabSize } = this.engine.model
    return {
      status: "ok",
      role: this.role,
      ...this.party,
      agent: this.agentAddress,
      model: { name, fingerprint, contextTokens, vocabSize },
      pool: { blocks: this.pool.allocator.blocks, free: this.pool.allocator.free },
      leases: this.agent.openLeases,
      counters: { ...this.engine.counters },
    }
  }

  /**
   * Computes a prompt into blocks of this pool and lends them.
   * @throws KvError KV_POOL_EXHAUSTED, KV_CANCELLED, KV_PROMPT_TOO_LONG, KV_REQUEST_INVALID.
   */
  async prefill(request: PrefillRequest, signal: AbortSignal): Promise<PrefillAnswer> {
    this.#checkContext(request.tokens.length)
    this.#checkVocabulary(request.tokens)
    const tokens = Uint32Array.from(request.tokens)
    const blocks = this.pool.allocator.allocate(blocksFor(tokens.length, this.pool.layout.blockTokens))
    let prefilled: Prefilled
    let lease: string
    const evidence = request.evidence === true
    try {
      prefilled = await this.engine.prefill({ tokens, blocks, sampling: request.sampling, evidence }, signal)
      lease = this.agent.lend({
        blocks,
        tokens: tokens.length,
        lifetimeMillis: this.#options.leaseMillis,
        onEnd: () => this.pool.allocator.release(blocks),
      })
    } catch (thrown) {
      this.pool.allocator.release(blocks)
      throw thrown
    }
    if (request.call !== undefined) this.#remember(request.call, lease)
    const sequence = { ...this.#stored, blocks, tokens: tokens.length }
    return {
      requestId: request.requestId,
      firstToken: prefilled.token,
      promptTokens: tokens.length,
      prefillMicros: prefilled.micros,
      handover: { agent: this.agentAddress, agentId: this.party.agentId, bootId: this.party.bootId, lease },
      ...(evidence ? { evidence: evidenceOf(sequence, prefilled) } : {}),
    }
  }

  /**
   * Gives a lease back, by its id or by the call that made it. A call that is still being computed is remembered,
   * and its lease ends as soon as it begins. Returns false when there was nothing to end.
   */
  release({
    lease,
    call,
  }: {
    readonly lease?: string | undefined
    readonly call?: string | undefined
  }): boolean {
    if (lease !== undefined) return this.agent.withdraw(lease)
    if (call === undefined) return false
    const known = this.#leaseOfCall.get(call)
    this.#remember(call, "released")
    return known !== undefined && this.agent.withdraw(known)
  }

  /**
   * Pulls a prompt's blocks from the worker that computed them, and continues its answer.
   * @throws TransferFailed with the receipt; KvError KV_POOL_EXHAUSTED, KV_CANCELLED, KV_PEER_LOST, …
   */
  async decode(
    request: DecodeRequest,
    listener: DecodeListener,
    signal: AbortSignal,
  ): Promise<DecodeOutcome> {
    const stored = request.promptTokens + request.maxTokens - 1
    this.#checkContext(stored)
    const blocks = this.pool.allocator.allocate(blocksFor(stored, this.pool.layout.blockTokens))
    let usable = true
    try {
      const receipt = await this.#pull(request, blocks, signal)
      const sequence = { ...this.#stored, blocks, tokens: request.promptTokens }
      if (this.#options.inject?.at === "pool")
        plantFault(sequence, this.#options.inject.request, this.#staleBlock)
      const evidence = request.evidence === true ? evidenceOf(sequence, { logits: [], drawn: [] }) : undefined
      listener.transferred(receipt)
      const job = {
        promptTokens: request.promptTokens,
        blocks,
        firstToken: request.firstToken,
        maxTokens: request.maxTokens,
        sampling: request.sampling,
        ignoreEnd: request.ignoreEnd === true,
        evidence: evidence !== undefined,
      }
      const decoded = await this.engine.decode(job, (index, token) => listener.token(index, token), signal)
      return {
        ...decoded,
        ...(evidence === undefined
          ? {}
          : { evidence: { ...evidence, logits: [...decoded.logits], tokens: [...decoded.drawn] } }),
      }
    } catch (thrown) {
      // Better lost than spoiled: they stay away from the next request for as long as this process lives.
      if (thrown instanceof KvError && thrown.mayStillWrite) usable = false
      throw thrown
    } finally {
      if (usable) this.#release(blocks)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent[Symbol.asyncDispose]()
    await this.#receipts?.[Symbol.asyncDispose]()
    await this.engine[Symbol.asyncDispose]()
    await this.#fabrics[Symbol.asyncDispose]()
    this.pool[Symbol.dispose]()
  }

  /** Remembers the lease of a call, or that it was released; the oldest calls are forgotten. */
  #remember(call: string, lease: string): void {
    if (this.#leaseOfCall.get(call) === "released") this.agent.withdraw(lease)
    this.#leaseOfCall.set(call, lease)
    if (this.#leaseOfCall.size > callsRemembered) {
      this.#leaseOfCall.delete(this.#leaseOfCall.keys().next().value!)
    }
  }

  get #stored(): { readonly layout: KvLayout; readonly spans: StoredSequence["spans"] } {
    return { layout: this.pool.layout, spans: this.pool.spans }
  }

  async #pull(request: DecodeRequest, blocks: Uint32Array, signal: AbortSignal): Promise<TransferReceipt> {
    const { transferMillis, integrity, inject } = this.#options
    const { handover } = request
    const peer = await untilAborted(this.agent.connect(handover.agent, transferMillis), signal)
    if (peer.card.bootId !== handover.bootId) {
      throw new KvError("KV_PEER_LOST", {
        what: `the prefill worker ${handover.agentId} restarted before its blocks were fetched`,
        why: `it was boot ${handover.bootId.slice(0, 8)}, and is boot ${peer.card.bootId.slice(0, 8)} now`,
        next: "send the request again",
      })
    }
    this.#tellPassedOver(peer)
    const transfer = this.agent.pull(peer, {
      requestId: request.requestId,
      trace: request.trace,
      lease: handover.lease,
      tokens: request.promptTokens,
      into: blocks,
      integrity,
      timeoutMillis: transferMillis,
      signal,
      ...(inject?.at === "landing"
        ? { onLanded: (sequence) => void plantFault(sequence, inject.request, this.#staleBlock) }
        : {}),
    })
    const receipt = await transfer.receipt
    this.#receipts?.append(receipt)
    if (receipt.state === "delivered") return receipt
    const differs = request.evidence === true && receipt.integrity.verdict === "different"
    const arrived = { ...this.#stored, blocks, tokens: request.promptTokens }
    const evidence = differs ? evidenceOf(arrived, { logits: [], drawn: [] }) : undefined
    throw new TransferFailed(receipt, receipt.error!, evidence)
  }

  /** Says once for each life of a peer that a path which the policy likes better was passed over. */
  #tellPassedOver({ card, path }: Peer): void {
    if (path.passedOver.length === 0 || this.#toldPeers.has(card.bootId)) return
    if (this.#toldPeers.size >= peersTold) this.#toldPeers.clear()
    this.#toldPeers.add(card.bootId)
    const { transport } = path.endpoint
    this.#options.warn?.(`${card.agentId} is reached over ${transport}, not ${reasons(path.passedOver)}`)
  }

  #release(blocks: Uint32Array): void {
    const keep = this.#options.inject?.request.fault === "stale-block" && this.#staleBlock === undefined
    if (keep) this.#staleBlock = blocks[0]
    this.pool.allocator.release(keep ? blocks.subarray(1) : blocks)
  }

  /** Checked before the numbers are put into 32 bits: the engine would see what is left of a larger one. */
  #checkVocabulary(tokens: readonly number[]): void {
    const { vocabSize } = this.engine.model
    const at = tokens.findIndex((token) => token >= vocabSize)
    if (at < 0) return
    throw new KvError("KV_PROMPT_INVALID", {
      what: `token ${at} is ${tokens[at]}, and the model knows ${vocabSize}`,
      next: "encode the prompt with the model's own tokenizer",
    })
  }

  #checkContext(tokens: number): void {
    const { contextTokens } = this.engine.model
    if (tokens <= contextTokens) return
    throw new KvError("KV_PROMPT_TOO_LONG", {
      what: `${tokens} tokens were asked for`,
      why: `the model's context holds ${contextTokens}`,
      next: "shorten the prompt, or ask for fewer tokens",
    })
  }
}

/**
 * Loads a model, makes its pool, and opens its agent.
 * @throws KvError KV_MODEL_INVALID, KV_OS, KV_PORT_IN_USE, KV_USAGE.
 */
export async function openWorker(options: WorkerOptions): Promise<KvWorker> {
  const opened: (() => PromiseLike<void> | void)[] = []
  try {
    const { address: host } = await numericHost(options.host)
    const engine = await EngineThread.load(options.source)
    opened.push(() => engine[Symbol.asyncDispose]())
    const { shape, contextTokens, fingerprint } = engine.model
    const blockTokens = options.blockTokens ?? 16
    const layout = wholeModelLayout(shape, {
      blocks: options.blocks ?? defaultContexts * blocksFor(contextTokens, blockTokens),
      blockTokens,
      ...(options.order === undefined ? {} : { order: options.order }),
    })
    const node = options.rdma?.numa
    const pool = new KvPool(layout, hostMemory, { populate: true, ...(node === undefined ? {} : { node }) })
    opened.push(() => pool[Symbol.dispose]())
    await engine.open(layout, pool.spans)
    const { rails, required, encryption = "none" } = options
    const warn = options.warn ?? (() => {})
    const fabrics = await openFabrics({
      paths: options.paths,
      host,
      rails,
      encryption,
      warn,
      ...(required === undefined ? {} : { required }),
      ...(options.rdma === undefined ? {} : { rdma: options.rdma }),
    })
    opened.push(() => fabrics[Symbol.asyncDispose]())
    const bootId = randomBytes(16).toString("hex")
    const party = { pid: process.pid, agentId: `${options.role}-${bootId.slice(0, 6)}`, bootId }
    const agent = await openAgent({
      party,
      software: softwareVersion(),
      model: fingerprint,
      credentials: options.credentials,
      layout,
      spans: pool.spans,
      epochs: pool.epochs,
      endpoints: fabrics.endpoints,
      policy: fabrics.policy,
      network: tcpControlNetwork,
      clock: monotonicClock,
      memory: hostMemory,
      hasher: fabrics.crew,
      onWarning: warn,
      integrity: options.integrity,
      ...(options.integrityFloor === undefined ? {} : { integrityFloor: options.integrityFloor }),
      ...(options.holdMillis === undefined ? {} : { times: { holdMillis: options.holdMillis } }),
    })
    opened.push(() => agent[Symbol.asyncDispose]())
    const { port } = await agent.listen(host, options.agentPort)
    const shown = options.advertise ?? advertised(host)
    const address = `${shown.includes(":") ? `[${shown}]` : shown}:${port}`
    const { receipts: folder } = options
    const receipts = folder === undefined ? undefined : new ReceiptLog({ folder, party, warn })
    return new KvWorker(options, party, engine, pool, agent, address, fabrics, receipts)
  } catch (thrown) {
    for (const close of opened.reverse()) await close()
    throw thrown
  }
}

/** Stops to wait when the caller has left. The work itself goes on, for others or to its own deadline. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = (): void => reject(new KvError("KV_CANCELLED", { what: "the request was cancelled" }))
    if (signal.aborted) cancel()
    signal.addEventListener("abort", cancel, { once: true })
    const settled = (): void => signal.removeEventListener("abort", cancel)
    work.then(resolve, reject).finally(settled)
  })
}

/** Where peers reach a worker that listens on all addresses: the first one that is not loopback. */
function advertised(host: string): string {
  if (host !== "0.0.0.0" && host !== "::") return host
  const family = host === "::" ? "IPv6" : "IPv4"
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.find((entry) => !entry.internal && entry.family === family)?.address ?? "127.0.0.1"
}

/** The numeric address of a host name. @throws KvError KV_USAGE when it has none. */
async function numericHost(host: string): Promise<{ readonly address: string }> {
  try {
    return await lookup(host)
  } catch (thrown) {
    throw new KvError("KV_USAGE", {
      what: `the host ${JSON.stringify(host.slice(0, 100))} has no address`,
      why: thrown instanceof Error ? thrown.message : String(thrown),
      next: "use 127.0.0.1, or the address of this machine's network card",
      cause: thrown,
    })
  }
}
