import { assert } from "../../errors/assert.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type { CopyDone, CopyJob, Crew } from "../../movers/crew.ts"
import { checkMove } from "../check-move.ts"
import { type CopyOfMove, copyOfMove } from "../copy-runs.ts"
import type { Moved, MoveRequest, PostOptions, PreparedMove, RegionDescriptor } from "../transport.ts"
import { type RemoteRegion, type RemoteRegions, rejected } from "./remote-regions.ts"

/** Our own regions, and a number that changes whenever one is taken away. */
export interface LocalRegions {
  readonly spans: ReadonlyMap<number, MemorySpan>
  readonly removals: number
}

/** What a move needs of its connection. */
export interface MoveHost {
  readonly crew: Crew
  readonly local: LocalRegions
  readonly remote: RemoteRegions
  readonly moves: Set<ShmMove>
  /** Why nothing counts any more, looked up in the session page; undefined while all is well. */
  ended(): KvError | undefined
  /** How many regions the peer has closed so far. */
  closings(): number
}

/** A move over shared memory: the crew copies between two mappings, and the session page says whether it counts. */
export class ShmMove implements PreparedMove {
  readonly #host: MoveHost
  readonly #request: MoveRequest
  readonly #localSpans: ReadonlyMap<number, MemorySpan>
  readonly #wanted: readonly RegionDescriptor[]
  #remote: readonly RemoteRegion[] | undefined
  #job: CopyJob | undefined
  #inOrder: CopyOfMove["inOrder"] | undefined
  #removals: number
  #closings = 0
  /** Why the post under way shall end. */
  #reason: KvError | undefined
  /** Why this move can never be posted again. */
  #over: KvError | undefined
  #busy = false
  /** The last post, under way while `#busy`. */
  #running: Promise<unknown> | undefined

  /** @throws KvError KV_REGION_BOUNDS, KV_RKEY_REJECTED, KV_PEER_UNTRUSTED, KV_LIMIT, KV_OS. */
  constructor(host: MoveHost, request: MoveRequest) {
    checkMove(request, host.local.spans)
    this.#host = host
    this.#request = request
    this.#removals = host.local.removals
    const reading = request.direction === "read"
    const { plan } = request
    this.#localSpans = used(reading ? plan.targetRegion : plan.sourceRegion, (region) =>
      host.local.spans.get(region),
    )
    const named = new Map(request.remote.map((descriptor) => [descriptor.region, descriptor]))
    const wanted = used(reading ? plan.sourceRegion : plan.targetRegion, (region) => named.get(region))
    this.#wanted = [...wanted.values()]
    const here = this.#wanted.map((descriptor) => host.remote.find(descriptor))
    if (here.every((region) => region !== undefined)) this.#compose(here)
    host.moves.add(this)
  }

  post(options: PostOptions): Promise<Moved> {
    assert(!Number.isNaN(options.deadline), "a move has a deadline: without one nothing would ever end it")
    const refusal = this.#refusal(options)
    if (refusal !== undefined) return Promise.reject(refusal)
    if (this.#request.plan.pieces === 0)
      return Promise.resolve({ bytes: 0, pieces: 0, rails: [], retries: 0 })
    this.#busy = true
    const running = this.#job === undefined ? this.#mapThenRun(options) : this.#run(this.#job, options)
    this.#running = running
    return running
  }

  landed(): number {
    return this.#job?.landed() ?? 0
  }

  /** True when it touches this mapping of ours, or of the peer. */
  uses(memory: MemorySpan | RemoteRegion): boolean {
    for (const span of this.#localSpans.values()) if (span === memory) return true
    return this.#remote?.some((region) => region === memory) === true
  }

  /** Ends the post under way, and every later one, with `error`. Resolves when it touches no memory any more. */
  async retire(error: KvError): Promise<void> {
    this.#over ??= error
    this.#interrupt(error)
    await this.#running?.catch(() => {})
    const job = this.#job
    this.#job = undefined
    await job?.[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running?.catch(() => {})
    this.#host.moves.delete(this)
    await this.retire(new KvError("KV_USAGE", { what: "a move was posted after it had been disposed of" }))
  }

  /** Turns the plan's offsets into addresses of both sides' mappings. */
  #compose(regions: readonly RemoteRegion[]): void {
    const { local, crew } = this.#host
    const request = this.#request
    // Before the lookups: what is closed after this is noticed by the number.
    this.#closings = this.#host.closings()
    const mappings = new Map(regions.map((region) => [region.region, mappingFor(region, request.direction)]))
    // A descriptor's length was the caller's word; and our own regions may have changed since the first check.
    const longer = request.remote.some(
      ({ region, length }) => length > (mappings.get(region)?.byteLength ?? length),
    )
    if (longer || local.removals !== this.#removals) {
      const remote = request.remote.map((descriptor) => ({
        ...descriptor,
        length: Math.min(descriptor.length, mappings.get(descriptor.region)?.byteLength ?? 0),
      }))
      checkMove({ ...request, remote }, local.spans)
    }
    // As spans, not as addresses: the crew copies short runs through views of them.
    const copy = copyOfMove(request, local.spans, (region) => mappings.get(region)!)
    this.#removals = local.removals
    this.#inOrder = copy.inOrder
    if (copy.runs.count > 0) this.#job = crew.prepareCopy(copy.runs)
    this.#remote = regions
  }

  async #mapThenRun(options: PostOptions): Promise<Moved> {
    try {
      const regions = await this.#host.remote.want(this.#wanted, options.deadline)
      const refusal = this.#reason ?? this.#refusalWhileRunning(options)
      if (refusal !== undefined) throw refusal
      this.#compose(regions)
    } catch (thrown) {
      this.#busy = false
      const reason = this.#reason
      this.#reason = undefined
      throw reason ?? this.#host.ended() ?? thrown
    }
    return await this.#run(this.#job!, options)
  }

  async #run(job: CopyJob, options: PostOptions): Promise<Moved> {
    const { signal } = options
    const cancel =
      signal === undefined
        ? undefined
        : (): void => this.#interrupt(new KvError("KV_CANCELLED", { what: "the transfer was cancelled" }))
    if (cancel !== undefined) signal!.addEventListener("abort", cancel)
    try {
      const done = await job.post({ deadline: options.deadline })
      // What was read under a key that died meanwhile may be anybody's bytes: it does not count.
      const late = this.#reason ?? this.#unusable()
      if (late !== undefined) throw late
      return this.#moved(done)
    } catch (thrown) {
      throw this.#reason ?? thrown
    } finally {
      this.#busy = false
      this.#reason = undefined
      if (cancel !== undefined) signal!.removeEventListener("abort", cancel)
    }
  }

  #interrupt(reason: KvError): void {
    if (!this.#busy || this.#reason !== undefined) return
    this.#reason = reason
    this.#job?.stop()
  }

  #refusal(options: PostOptions): KvError | undefined {
    if (this.#busy) {
      return new KvError("KV_USAGE", {
        what: "a prepared move was posted while its last post was under way",
        next: "wait for the last one, or prepare another",
      })
    }
    return this.#refusalWhileRunning(options)
  }

  #refusalWhileRunning({ signal, deadline }: PostOptions): KvError | undefined {
    const unusable = this.#unusable()
    if (unusable !== undefined) return unusable
    if (signal?.aborted === true) {
      return new KvError("KV_CANCELLED", { what: "the transfer was cancelled before it began" })
    }
    if (performance.now() >= deadline) {
      const { bytes } = this.#request.plan
      return new KvError("KV_DEADLINE", { what: `${bytes} bytes did not begin to move before the deadline` })
    }
    return undefined
  }

  /** What makes a post worthless, before it and after it: two numbers are compared when nothing happened. */
  #unusable(): KvError | undefined {
    const ended = this.#host.ended()
    if (ended !== undefined) return ended
    if (this.#over !== undefined) return this.#over
    const { removals, spans } = this.#host.local
    if (removals !== this.#removals) {
      for (const [region, span] of this.#localSpans) {
        if (spans.get(region) !== span) return rejected(region, "this side closed it")
      }
      this.#removals = removals
    }
    const closings = this.#host.closings()
    if (this.#remote !== undefined && closings !== this.#closings) {
      for (const region of this.#remote) {
        if (!this.#host.remote.isLive(region)) return rejected(region.region, "the peer closed it")
      }
      this.#closings = closings
    }
    return undefined
  }

  #moved(done: CopyDone): Moved {
    const { plan, hashes } = this.#request
    const moved = {
      bytes: plan.bytes,
      pieces: plan.pieces,
      rails: done.bytesByThread.map((bytes, rail) => ({ rail, bytes })),
      retries: 0,
    }
    return hashes === undefined ? moved : { ...moved, hashes: this.#inOrder!(done.hashes) }
  }
}

function mappingFor(region: RemoteRegion, direction: MoveRequest["direction"]): MemorySpan {
  const mapping = region[direction]
  if (mapping !== undefined) return mapping
  throw new KvError("KV_PEER_UNTRUSTED", {
    what: `the peer did not grant a ${direction} of region ${region.region}`,
    why: "it offers that region for the other direction only",
  })
}

/** The regions that a column names, each once, with what belongs to it. */
function used<T>(column: Uint32Array, of: (region: number) => T | undefined): Map<number, T> {
  const found = new Map<number, T>()
  let last = -1
  for (const region of column) {
    if (region === last) continue
    last = region
    const value = found.has(region) ? undefined : of(region)
    if (value !== undefined) found.set(region, value)
  }
  return found
}
