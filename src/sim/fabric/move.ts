import { KvError } from "../../errors/kv-error.ts"
import type { TransferPlan } from "../../plan/transfer-plan.ts"
import { inside } from "../../transport/check-move.ts"
import type { Move, Moved } from "../../transport/transport.ts"
import type { SimMapping } from "../memory.ts"
import type { World } from "../world.ts"
import { lostPeer, rejectedKey } from "./fabric-errors.ts"
import type { ConnectionPart, EndpointPart } from "./parts.ts"

/** A run of bytes that one step of a move carries. */
interface Run {
  readonly sourceRegion: number
  readonly sourceOffset: number
  readonly targetRegion: number
  readonly targetOffset: number
  readonly length: number
}

type Step = readonly Run[]

/** Most steps of one move, and how many are on their way at once. */
const steps = { most: 10, window: 3 } as const
/** How long a step that cannot go on waits, at first and at most; and the most that a stop takes. In milliseconds. */
const wait = { first: 1, most: 64, stopMost: 1 } as const

/**
 * A move in virtual time: its bytes are read from the source and land in the target step by step, cut anywhere.
 *
 * Between two steps anything may happen to either side. A stop takes a while, and the move rejects after it.
 */
export class SimMove {
  readonly result: Promise<Moved>
  /** Resolves when nothing of it will touch memory of this side any more. */
  readonly ended: Promise<void>
  readonly #connection: ConnectionPart
  readonly #move: Move
  readonly #steps: Step[]
  readonly #abort = (): void => this.stop(new KvError("KV_CANCELLED", { what: "the transfer was cancelled" }))
  readonly #cancelTimer: () => void
  #resolve!: (moved: Moved) => void
  #reject!: (error: KvError) => void
  #left: number
  #stopping = false
  #stopped = false
  #silentSince: number | undefined

  constructor(connection: ConnectionPart, move: Move) {
    this.#connection = connection
    this.#move = move
    const { random } = this.#world
    const inOrder = cut(move.plan, this.#cuts())
    const order = random.fabric.chance(0.3) ? random.fabric.shuffled(inOrder) : inOrder
    this.#steps = order
    this.#left = order.length
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.ended = this.result.then(
      () => {},
      () => {},
    )
    const { clock } = connection.local.process
    this.#cancelTimer = clock.after(move.deadline - clock.now(), () => {
      this.stop(
        new KvError("KV_DEADLINE", { what: `${move.plan.bytes} bytes did not move before the deadline` }),
      )
    })
    move.signal?.addEventListener("abort", this.#abort, { once: true })
    if (this.#left === 0) this.#finish()
    for (let i = 0; i < Math.min(steps.window, order.length); i++) this.#next()
  }

  get #world(): World {
    return this.#connection.local.fabric.world
  }

  /** Ends it early: it rejects when it has stopped. */
  stop(error: KvError): void {
    if (this.#stopping) return
    this.#stopping = true
    this.#release()
    const { process, fabric } = this.#connection.local
    const late = fabric.lies("stops-late")
    if (late) process.later(0, () => this.#reject(error))
    this.#world.timeline.after(this.#world.random.fabric.millis(0, wait.stopMost), () => {
      this.#stopped = !late
      process.deliver(() => this.#reject(error))
    })
  }

  /** The process that asked for it is dead: so is its memory. */
  vanish(): void {
    this.#stopping = true
    this.#stopped = true
  }

  #cuts(): number[] {
    const random = this.#world.random.fabric
    const { bytes } = this.#move.plan
    const count = Math.min(bytes, random.between(1, steps.most)) - 1
    return Array.from({ length: Math.max(0, count) }, () => random.between(1, bytes - 1)).sort(
      (a, b) => a - b,
    )
  }

  #release(): void {
    this.#cancelTimer()
    this.#move.signal?.removeEventListener("abort", this.#abort)
  }

  #next(): void {
    const step = this.#steps.shift()
    if (step === undefined) return
    const pace = this.#world.random.fabric.millis(0.01, 0.6)
    this.#go(pace, wait.first, () => this.#take(step))
  }

  /** Runs `action` after a while, as soon as nothing stands in the way; never once the move has stopped. */
  #go(millis: number, retry: number, action: () => void): void {
    this.#world.timeline.after(millis, () => {
      if (this.#stopped) return
      if (!this.#blocked()) {
        this.#silentSince = undefined
        return action()
      }
      this.#silentSince ??= this.#world.now
      if (this.#world.now - this.#silentSince > this.#connection.silenceMillis) {
        return this.#connection.fail(lostPeer("no answer, and no more tries"))
      }
      this.#go(retry, Math.min(wait.most, retry * 2), action)
    })
  }

  #blocked(): boolean {
    const { local, peer } = this.#connection
    const { kind, links } = local.fabric
    if (kind === "mapped") return local.process.state === "paused"
    const [here, there] = [local.process.host, peer.process.host]
    if (links.blocked(here, there) || links.blocked(there, here) || peer.process.state === "dead") return true
    return kind === "stream" && (local.process.state === "paused" || peer.process.state === "paused")
  }

  /** Reads the bytes of a step where they are now. They are on their way from then on. */
  #take(step: Step): void {
    if (this.#stopping) return
    const reading = this.#move.direction === "read"
    const from = reading ? this.#connection.peer : this.#connection.local
    const refusal = this.#refusal(step)
    if (refusal !== undefined) return this.stop(refusal)
    const payload = step.map(({ sourceRegion, sourceOffset, length }) =>
      this.#regionOf(from, sourceRegion)!.view(sourceOffset, length).slice(),
    )
    if (reading) this.#audit()
    this.#go(this.#world.random.fabric.millis(0, 0.4), wait.first, () => this.#land(step, payload))
  }

  #land(step: Step, payload: readonly Uint8Array[]): void {
    const reading = this.#move.direction === "read"
    const to = reading ? this.#connection.local : this.#connection.peer
    if (!reading) {
      const refusal = this.#refusal(step)
      if (refusal !== undefined) return this.stop(refusal)
      this.#audit()
    }
    const who = `${this.#connection.transport} ${this.#move.direction} of ${this.#connection.local.process.name}`
    for (const [i, { targetRegion, targetOffset }] of step.entries()) {
      this.#regionOf(to, targetRegion)?.land(targetOffset, payload[i]!, who)
    }
    this.#left -= 1
    if (this.#left === 0 && !this.#stopping) this.#finish()
    else this.#next()
  }

  #finish(): void {
    const { plan } = this.#move
    this.#stopping = true
    this.#stopped = true
    const rails = Array<number>(this.#connection.local.rails).fill(0)
    for (let i = 0; i < plan.pieces; i++) rails[plan.rail[i]! % rails.length]! += plan.length[i]!
    this.#connection.local.process.later(0.01, () => {
      this.#release()
      this.#resolve({
        bytes: plan.bytes,
        pieces: plan.pieces,
        rails: rails.map((bytes, rail) => ({ rail, bytes })),
        retries: 0,
      })
    })
  }

  #regionOf(endpoint: EndpointPart, region: number): SimMapping | undefined {
    // Pages that were mapped stay readable when their owner is gone.
    return endpoint.regions.get(region)
  }

  /** What the peer's side of the fabric says to a step. */
  #refusal(step: Step): KvError | undefined {
    const { peer, session, local } = this.#connection
    const { fabric } = local
    const mapped = fabric.kind === "mapped"
    if (!mapped && !peer.sessions.has(session.id) && !this.#careless())
      return lostPeer("the session was ended")
    const reading = this.#move.direction === "read"
    const keys = new Map(this.#move.remote.map(({ region, rkeys }) => [region, rkeys[0]]))
    for (const run of step) {
      const region = reading ? run.sourceRegion : run.targetRegion
      const offset = reading ? run.sourceOffset : run.targetOffset
      const mapping = peer.regions.get(region)
      if (mapping === undefined || peer.keys.get(region) !== keys.get(region)) {
        return rejectedKey(region, "it is not, or no longer, its key")
      }
      if (!inside(offset, run.length, mapping.byteLength)) {
        const what = `${run.length} bytes at ${offset} of a region of ${mapping.byteLength} bytes`
        return new KvError("KV_REGION_BOUNDS", { what })
      }
    }
    return undefined
  }

  #careless(): boolean {
    const { fabric } = this.#connection.local
    return fabric.lies("asks-nobody") || fabric.lies("forgets-boots") || fabric.lies("dismisses-late")
  }

  /** Holds what the fabric did against who was let in: the fabric's own checks may lie. */
  #audit(): void {
    const { peer, session, local } = this.#connection
    if (local.fabric.kind === "mapped") return
    const { direction } = this.#move
    const admitted = peer.sessions.get(session.id)?.rights[direction] === true
    const why = admitted
      ? local.fabric.objection(peer.process, local.process, direction)
      : "without a session"
    if (why === undefined) return
    this.#world.broken("P6", local.process.name, `a ${direction} of ${peer.process.name}: ${why}`)
  }
}

/** Cuts a plan's bytes, in the order of its pieces, at the given places. */
function cut(plan: TransferPlan, places: readonly number[]): Step[] {
  const result: Run[][] = [[]]
  let at = 0
  let next = 0
  for (let i = 0; i < plan.pieces; i++) {
    for (let done = 0; done < plan.length[i]!; ) {
      while (next < places.length && places[next]! <= at) {
        if (result.at(-1)!.length > 0) result.push([])
        next += 1
      }
      const length = Math.min(plan.length[i]! - done, (places[next] ?? Number.POSITIVE_INFINITY) - at)
      result.at(-1)!.push({
        sourceRegion: plan.sourceRegion[i]!,
        sourceOffset: plan.sourceOffset[i]! + done,
        targetRegion: plan.targetRegion[i]!,
        targetOffset: plan.targetOffset[i]! + done,
        length,
      })
      done += length
      at += length
    }
  }
  return result.filter((step) => step.length > 0)
}
