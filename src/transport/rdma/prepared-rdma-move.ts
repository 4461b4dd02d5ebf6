import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { toSharedMillis } from "../../os/clock.ts"
import { OnePost } from "../prepared-move.ts"
import type { Moved, MoveRequest, PostOptions, PreparedMove, RegionDescriptor } from "../transport.ts"
import { beginDeal, Deal, type DealMemory, dealMemory, threadsIn } from "./deal.ts"
import { partsOf, remoteKeysOf } from "./keys.ts"
import type { MovingConnection } from "./moving-connection.ts"
import type { PendingMove } from "./pending-move.ts"
import type { FailedUnit, PostCommand, PreparedWork } from "./rail-messages.ts"
import { cutUnits, type Units } from "./units.ts"

let nextMove = 1
let nextPrepared = 1

/** A unit as its peer and a reader know it. */
interface UnitPlace {
  readonly descriptor: RegionDescriptor
  readonly region: number
  readonly part: number
  readonly offset: number
  readonly length: number
  readonly words: string
}

/** A checked move: cut into units, with the keys of every lane. Each post deals them anew. */
export class PreparedRdmaMove implements PreparedMove {
  readonly #connection: MovingConnection
  readonly #request: MoveRequest
  readonly #posts = new OnePost()
  /** Our memory as it was checked: a region that was closed and opened again is another one. */
  readonly #spans: ReadonlyMap<number, Pick<MemorySpan, "addressOf">>
  readonly #units: Units | undefined
  /** What each local rail is told once. */
  readonly #parts: ReadonlyMap<number, PreparedWork>
  readonly #once: boolean
  readonly #id = nextPrepared++
  #told = false
  #memory: DealMemory | undefined
  #deal: Deal | undefined

  /** @param once true when it is posted once and never disposed of. @throws KvError KV_PEER_UNTRUSTED, KV_RKEY_REJECTED. */
  constructor(connection: MovingConnection, request: MoveRequest, once: boolean) {
    this.#connection = connection
    this.#once = once
    this.#request = request
    const { plan, direction, remote } = request
    const { book, sliceBytes } = connection.owner
    if (!connection.rights[direction]) {
      throw new KvError("KV_PEER_UNTRUSTED", {
        what: `the peer lets this session ${connection.rights.read ? "read" : "do nothing"}, and a ${direction} was asked for`,
        next: "ask for a grant of that direction",
      })
    }
    if (plan.pieces === 0) {
      this.#spans = new Map()
      this.#parts = new Map()
      return
    }
    const { lanes, peer } = connection
    const units = cutUnits(request, {
      spans: book.requestSpans,
      sliceBytes,
      localPartBytes: book.partBytes,
      remotePartBytes: peer.partBytes,
      lanes,
    })
    this.#units = units
    this.#spans = new Map(units.localRows.map(({ region }) => [region, book.requestSpans.get(region)!]))
    const { localAddress, remoteAddress, length, localKey, remoteKey } = units
    const columns = { localAddress, remoteAddress, length, localKey, remoteKey }
    const parts = new Map<number, PreparedWork & { readonly lanes: PreparedWork["lanes"][number][] }>()
    const byRemoteRail = new Map<number, PreparedWork["lanes"][number]["remoteKeys"]>()
    lanes.forEach(({ localRail, remoteRail }, place) => {
      let part = parts.get(localRail)
      if (part === undefined) {
        const localKeys = book.localKeys(units.localRows, localRail)
        part = { direction, units: columns, localKeys, lanes: [] }
        parts.set(localRail, part)
      }
      let remoteKeys = byRemoteRail.get(remoteRail)
      if (remoteKeys === undefined) {
        remoteKeys = remoteKeysOf(units.remoteRows, remoteRail, { descriptors: remote, ...peer })
        byRemoteRail.set(remoteRail, remoteKeys)
      }
      part.lanes.push({ place, remoteKeys })
    })
    this.#parts = parts
  }

  post(options: PostOptions): Promise<Moved> {
    return this.#posts.run(options, () => this.#run(options))
  }

  landed(): number {
    return this.#deal?.landed ?? 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#posts.ended
    if (!this.#told || this.#once) return
    this.#told = false
    this.#connection.drop(this.#id, [...this.#parts.keys()])
  }

  async #run({ deadline, signal }: PostOptions): Promise<Moved> {
    const connection = this.#connection
    connection.assertUsable()
    this.#assertSameMemory()
    const units = this.#units
    if (units === undefined) return this.#moved(undefined)
    if (deadline <= performance.now()) {
      throw new KvError("KV_DEADLINE", { what: "the deadline had passed before the first byte was moved" })
    }
    const doubtful = this.#doubtful(units)
    if (doubtful !== undefined) {
      await this.#clearUp(doubtful, units)
      // Meanwhile this side may have closed a region, or changed its mind: nobody knew of this move yet.
      this.#assertSameMemory()
      if (signal?.aborted === true) throw cancelled()
    }
    const deal = this.#begin(units)
    const pending = connection.begin(
      this.#commands(toSharedMillis(deadline)),
      [...this.#spans.keys()],
      units.remoteRows.map(({ region }) => region),
    )
    this.#told = true
    const cancel = (): void => pending.cancel(cancelled())
    signal?.addEventListener("abort", cancel, { once: true })
    try {
      await this.#finish(pending, units)
      return this.#moved(deal)
    } finally {
      signal?.removeEventListener("abort", cancel)
    }
  }

  #begin(units: Units): Deal {
    const { lanes, owner, alive } = this.#connection
    // A rail's thread that has not yet heard of the last post's end still looks at its memory.
    if (this.#memory === undefined || threadsIn(this.#memory) > 0)
      this.#memory = dealMemory(units.count, lanes.length, owner.running.length)
    const shares = units.shares.map((share, place) => ({ ...share, alive: alive[place]! }))
    beginDeal(this.#memory, shares)
    this.#deal = new Deal(this.#memory, units.length)
    // For each rail that is told: one that has not even heard of it when the others are done still has to leave.
    for (const _ of this.#parts) this.#deal.enter()
    return this.#deal
  }

  #commands(deadlineMillis: number): Map<number, PostCommand> {
    const shared = {
      type: "post",
      connection: this.#connection.id,
      move: nextMove++,
      prepared: this.#id,
      once: this.#once,
      deal: this.#memory!,
      deadlineMillis,
    } as const
    return new Map([...this.#parts].map(([rail, work]) => [rail, this.#told ? shared : { ...shared, work }]))
  }

  /**
   * A unit of a region that the peer has not open as the descriptor says, as far as we have heard. Of several the one that reaches
   * farthest into its region: if any leaves it, the peer is asked about that one.
   */
  #doubtful(units: Units): number | undefined {
    const { remote, direction } = this.#request
    const closed = remote.filter((descriptor) => !this.#connection.isOpen(descriptor, direction))
    if (closed.length === 0) return undefined
    const starts = new Map(closed.map(({ region, iova }) => [region, iova]))
    let [found, farthest] = [undefined as number | undefined, 0]
    for (let unit = 0; unit < units.count; unit++) {
      const start = starts.get(units.remoteRows[units.remoteKey[unit]!]!.region)
      if (start === undefined) continue
      const end = units.remoteAddress[unit]! - start + units.length[unit]!
      if (end <= farthest) continue
      found = unit
      farthest = end
    }
    return found
  }

  /** Asks the peer, whose word may have crossed with ours. @throws KvError KV_RKEY_REJECTED, KV_PEER_UNTRUSTED, KV_REGION_BOUNDS. */
  async #clearUp(unit: number, units: Units): Promise<void> {
    const place = 0
    const failure = { kind: "refused", status: "not posted", vendorCode: 0, likelyCause: "" } as const
    const refusal = await this.#refusal({ unit, place, failure }, units)
    // By now all that the peer had said before is here.
    if (this.#doubtful(units) !== undefined) throw refusal
    this.#connection.assertUsable()
  }

  /** @throws KvError what ended the move, unless it is done. */
  async #finish(pending: PendingMove, units: Units): Promise<void> {
    const outcome = await pending.ended
    if (outcome.kind === "done") return
    if (outcome.kind === "abandoned") throw outcome.error
    if (outcome.kind === "refused") throw await this.#refusal(outcome.refused, units)
    try {
      this.#connection.assertUsable()
    } catch (thrown) {
      throw outcome.lost === undefined ? thrown : this.#lostWith(outcome.lost, units, thrown as KvError)
    }
    throw outcome.error ?? new KvError("KV_PEER_LOST", { what: "the transfer was stopped by its rails" })
  }

  /** The connection was lost with this unit under way: the reader wants to know both. */
  #lostWith(lost: FailedUnit, units: Units, connection: KvError): KvError {
    const { what, next } = connection
    return new KvError(connection.code, {
      what: `${what}; ${this.#whereIs(lost, units).words} had no answer`,
      why: `${nativeWords(lost)}; likely cause: ${lost.failure.likelyCause}`,
      ...(next === undefined ? {} : { next }),
      cause: connection,
    })
  }

  #whereIs({ unit, place }: FailedUnit, units: Units): UnitPlace {
    const { direction, remote } = this.#request
    const { lanes, owner } = this.#connection
    const { localRail } = lanes[place]!
    const { region, part } = units.remoteRows[units.remoteKey[unit]!]!
    const descriptor = remote.find((candidate) => candidate.region === region)!
    const offset = units.remoteAddress[unit]! - descriptor.iova
    const length = units.length[unit]!
    const device = owner.running[localRail]!.rail.card.device
    const words = `piece ${this.#pieceAt(region, offset)}: the ${direction} of ${length} bytes at offset ${offset} of region ${region} over rail ${localRail} (${device})`
    return { descriptor, region, part, offset, length, words }
  }

  async #refusal(refused: FailedUnit, units: Units): Promise<KvError> {
    const { direction } = this.#request
    const { lanes, peer } = this.#connection
    const { failure } = refused
    const { remoteRail } = lanes[refused.place]!
    const { descriptor, region, part, offset, length, words: where } = this.#whereIs(refused, units)
    const native = nativeWords(refused)
    if (failure.kind === "local") {
      return new KvError("KV_RKEY_REJECTED", {
        what: `${where} was refused by this side's own NIC`,
        why: `${native}; likely cause: ${failure.likelyCause}`,
        next: "prepare the transfer again",
      })
    }
    const key = descriptor.rkeys[remoteRail * partsOf(descriptor.length, peer.partBytes) + part]!
    const { code, what } = await this.#connection.why({
      direction,
      region,
      rail: remoteRail,
      part,
      key,
      offset,
      length,
    })
    return new KvError(code, {
      what: `${where} was refused by the peer's NIC`,
      why: `${native}; the peer says: ${what}`,
      next: "fetch the peer's descriptors again, then post anew",
    })
  }

  #pieceAt(region: number, offset: number): number {
    const { plan, direction } = this.#request
    const regions = direction === "read" ? plan.sourceRegion : plan.targetRegion
    const offsets = direction === "read" ? plan.sourceOffset : plan.targetOffset
    for (let i = 0; i < plan.pieces; i++) {
      if (regions[i] === region && offset >= offsets[i]! && offset < offsets[i]! + plan.length[i]!) return i
    }
    return -1
  }

  #assertSameMemory(): void {
    const { requestSpans } = this.#connection.owner.book
    for (const [region, span] of this.#spans) {
      if (requestSpans.get(region) === span) continue
      throw new KvError("KV_RKEY_REJECTED", {
        what: `this side closed region ${region} after the transfer was prepared`,
        next: "prepare the transfer again",
      })
    }
  }

  #moved(deal: Deal | undefined): Moved {
    const { plan } = this.#request
    return {
      bytes: plan.bytes,
      pieces: plan.pieces,
      rails: this.#connection.owner.running.map((_, rail) => ({ rail, bytes: deal?.bytesByRail(rail) ?? 0 })),
      retries: deal?.retries ?? 0,
    }
  }
}

const cancelled = (): KvError => new KvError("KV_CANCELLED", { what: "the transfer was cancelled" })

const nativeWords = ({ failure }: FailedUnit): string =>
  `${failure.status}, vendor code 0x${failure.vendorCode.toString(16)}`
