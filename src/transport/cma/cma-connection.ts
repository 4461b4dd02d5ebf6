import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type { Crew } from "../../movers/crew.ts"
import { checkMove } from "../check-move.ts"
import { copyOfMove } from "../copy-runs.ts"
import type { Connection, Move, Moved, MoveRequest, PreparedMove } from "../transport.ts"
import { CmaMove, type CmaMoveHost } from "./cma-move.ts"
import type { PeerBeacon } from "./peer-beacon.ts"

/** What a connection is made of. */
export interface CmaConnectionParts {
  readonly session: string
  readonly pid: number
  readonly crew: Crew
  readonly beacon: PeerBeacon
  /** This side's regions. */
  readonly spans: ReadonlyMap<number, MemorySpan>
  /** Called once, when the connection can no longer be used. */
  readonly onEnd: () => void
}

/** A way into the memory of one process. */
export class CmaConnection implements Connection, CmaMoveHost {
  readonly transport = "cma"
  readonly session: string
  readonly lost: Promise<Error>
  readonly #parts: CmaConnectionParts
  /** Moves whose bytes are under way. */
  readonly #active = new Set<CmaMove>()
  #failure: KvError | undefined
  #resolveLost!: (error: KvError) => void
  #writesBegun = 0
  #writesEnded = 0

  constructor(parts: CmaConnectionParts) {
    this.#parts = parts
    this.session = parts.session
    this.lost = new Promise((resolve) => {
      this.#resolveLost = resolve
    })
  }

  prepare(request: MoveRequest): PreparedMove {
    if (this.#failure !== undefined) throw this.#failure
    const { direction, plan } = request
    const used = distinct(direction === "read" ? plan.sourceRegion : plan.targetRegion)
    const described = request.remote.filter(({ region }) => used.has(region))
    const regions = this.#watched(() => this.#parts.beacon.regions(direction, described))
    // The peer's own word on its regions counts, not what a descriptor says of their length.
    const remote = described.map((descriptor, i) => ({ ...descriptor, length: regions[i]!.byteLength }))
    checkMove({ ...request, remote }, this.#parts.spans)
    const bases = new Map(regions.map(({ region, address }) => [region, address]))
    const { pid, crew, spans } = this.#parts
    const copy = copyOfMove(request, spans, (region) => bases.get(region)!, pid)
    const job = crew.prepareCopy(copy.runs)
    const ours = distinct(direction === "read" ? plan.targetRegion : plan.sourceRegion)
    const local = new Map([...ours].map((region) => [region, spans.get(region)!]))
    return new CmaMove(this, { request, copy, job, regions, local })
  }

  async move(move: Move): Promise<Moved> {
    await using prepared = this.prepare(move)
    return await prepared.post(move)
  }

  /** Looks whether the peer is still there, and still lets this session in. */
  look(): void {
    try {
      this.#watched(() => this.#parts.beacon.confirm(undefined, []))
    } catch {
      // Whoever waits on `lost` has heard of it.
    }
  }

  /** Confirms that what was moved was the peer's to give until now. @throws KvError as `PeerBeacon.confirm`. */
  confirm(move: CmaMove): void {
    this.#watched(() => this.#parts.beacon.confirm(move.direction, move.regions))
  }

  /** Counts a move as under way, if it may begin. A write is announced to the peer, and only then looked. */
  enter(move: CmaMove): void {
    if (this.#failure !== undefined) throw this.#failure
    for (const [region, span] of move.local) {
      // What was prepared has addresses in it: nothing else would stop them.
      if (this.#parts.spans.get(region) !== span) throw closedHere(region)
    }
    // Also a read: one that begins after its session has ended brings nothing, not even bytes that do not count.
    if (move.direction === "read") this.confirm(move)
    else {
      this.#writesBegun += 1
      try {
        this.#watched(() => this.#parts.beacon.tellWrites(this.#writesBegun, this.#writesEnded))
        this.confirm(move)
      } catch (thrown) {
        this.#endWrite()
        throw thrown
      }
    }
    this.#active.add(move)
  }

  leave(move: CmaMove): void {
    this.#active.delete(move)
    if (move.direction === "write") this.#endWrite()
  }

  /** Stops the moves that touch a region of this side; resolves when none does any more. */
  async leaveRegion(region: number): Promise<void> {
    const users = [...this.#active].filter((move) => move.local.has(region))
    await Promise.all(users.map((move) => move.stop(closedHere(region))))
  }

  /** Runs a look at the peer. One that finds it lost ends the connection. */
  #watched<T>(look: () => T): T {
    if (this.#failure !== undefined) throw this.#failure
    try {
      return look()
    } catch (thrown) {
      if (thrown instanceof KvError && thrown.code === "KV_PEER_LOST") this.#fail(thrown)
      throw thrown
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#fail(new KvError("KV_PEER_LOST", { what: "this side closed the cma connection" }))
    await Promise.all([...this.#active].map((move) => move.ended))
  }

  #fail(error: KvError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    for (const move of this.#active) void move.stop(error)
    this.#parts.onEnd()
    this.#resolveLost(error)
  }

  #endWrite(): void {
    this.#writesEnded += 1
    try {
      this.#parts.beacon.tellWrites(this.#writesBegun, this.#writesEnded)
    } catch {
      // A peer that is gone waits for no writer.
    }
  }
}

function closedHere(region: number): KvError {
  return new KvError("KV_RKEY_REJECTED", {
    what: `a transfer uses region ${region}`,
    why: "this side closed it",
    next: "prepare it again with regions that are registered",
  })
}

function distinct(regions: Uint32Array): Set<number> {
  const found = new Set<number>()
  let last = -1
  for (const region of regions) {
    if (region !== last) found.add(region)
    last = region
  }
  return found
}
