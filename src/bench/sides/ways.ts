import { randomBytes } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { stripe } from "../../plan/stripe.ts"
import type { TransferPlan } from "../../plan/transfer-plan.ts"
import type {
  Connection,
  Endpoint,
  EndpointAddress,
  Moved,
  PreparedMove,
  RegionDescriptor,
  Rights,
  Session,
} from "../../transport/transport.ts"
import { planParts } from "../plan-parts.ts"
import { fabricOf, host, type Lane, laneText, readers, writers } from "./lanes.ts"
import type { Repeats, Timed } from "./timed.ts"

/** A move that takes this long is stuck. */
const moveMillisMax = 60_000

/** How the target reaches the source over one lane: as many sessions as there are peers. */
export interface Offer {
  readonly lane: Lane
  readonly sessions: readonly Session[]
  readonly address: EndpointAddress
  readonly regions: readonly RegionDescriptor[]
}

interface Way {
  readonly rails: number
  readonly connections: readonly Connection[]
  readonly regions: readonly RegionDescriptor[]
}

interface Prepared {
  readonly move: PreparedMove
  readonly micros: number
}

/** Every lane of kvferry between the two processes, seen from one of them. */
export class Ways {
  readonly #spans: readonly MemorySpan[]
  readonly #endpoints: Endpoint[] = []
  readonly #ways = new Map<string, Way>()
  readonly #prepared = new Map<string, Prepared>()

  constructor(spans: readonly MemorySpan[]) {
    this.#spans = spans
  }

  /** Opens a lane on the side that has the bytes, and lets `peers` sessions in. */
  async offer(lane: Lane, peers: number): Promise<Offer> {
    const endpoint = await fabricOf(lane).open(lane.width)
    this.#endpoints.push(endpoint)
    const regions = await this.#register(endpoint, readers)
    const sessions = Array.from({ length: peers }, newSession)
    for (const session of sessions) await endpoint.admit(session, readers)
    return { lane, sessions, address: endpoint.address, regions }
  }

  /** Connects the side that wants the bytes. */
  async reach({ lane, sessions, address, regions }: Offer): Promise<void> {
    const endpoint = await fabricOf(lane).open(lane.width)
    this.#endpoints.push(endpoint)
    await this.#register(endpoint, writers)
    const connections: Connection[] = []
    for (const session of sessions) {
      const deadline = performance.now() + moveMillisMax
      connections.push(await endpoint.connect(session, address, { deadline, peerHost: host, regions }))
    }
    this.#ways.set(wayKey(lane, sessions.length), { rails: endpoint.rails, connections, regions })
  }

  /** Pulls a plan as often as told; it is prepared once. */
  async pull(name: string, plan: TransferPlan, lane: Lane, times: Repeats): Promise<Timed> {
    const key = `${laneText(lane)} ${name}`
    const prepared = this.#prepared.get(key) ?? this.#prepare(plan, lane)
    this.#prepared.set(key, prepared)
    const micros: number[] = []
    for (let i = 0; i < times.repeats; i++) {
      if (times.pauseMicros > 0) await sleep(times.pauseMicros / 1000)
      const started = performance.now()
      await prepared.move.post({ deadline: started + moveMillisMax })
      micros.push((performance.now() - started) * 1000)
    }
    return { micros, prepareMicros: prepared.micros }
  }

  /** Takes the source's regions as they are: returns them as spans of this process. */
  async attached(lane: Lane): Promise<ReadonlyMap<number, MemorySpan>> {
    const { connections, regions } = this.#way(lane, 1)
    return connections[0]!.attach!(regions)
  }

  /** Posts a plan in `parts` at once, spread over the sessions of a lane. Returns the time until all had landed. */
  async crowd(plan: TransferPlan, lane: Lane, parts: number, peers: number, times: Repeats): Promise<Timed> {
    const { rails, connections, regions } = this.#way(lane, peers)
    const moves = planParts(plan, parts).map((part, i) =>
      connections[i % peers]!.prepare({ direction: "read", plan: stripe(part, rails), remote: regions }),
    )
    const micros: number[] = []
    for (let i = 0; i < times.repeats; i++) {
      const started = performance.now()
      const deadline = started + moveMillisMax
      await Promise.all(moves.map((move): Promise<Moved> => move.post({ deadline })))
      micros.push((performance.now() - started) * 1000)
    }
    await Promise.all(moves.map((move) => move[Symbol.asyncDispose]()))
    return { micros }
  }

  /** What it takes to prepare a plan, from striping to a move that can be posted. */
  async prepareMicros(plan: TransferPlan, lane: Lane): Promise<number> {
    const { move, micros } = this.#prepare(plan, lane)
    await move[Symbol.asyncDispose]()
    return micros
  }

  #prepare(plan: TransferPlan, lane: Lane): Prepared {
    const { rails, connections, regions } = this.#way(lane, 1)
    const started = performance.now()
    const dealt = stripe(plan, rails)
    const move = connections[0]!.prepare({ direction: "read", plan: dealt, remote: regions })
    return { move, micros: (performance.now() - started) * 1000 }
  }

  #way(lane: Lane, peers: number): Way {
    const way = this.#ways.get(wayKey(lane, peers))
    if (way === undefined) throw new Error(`${laneText(lane)} was not reached`)
    return way
  }

  #register(endpoint: Endpoint, access: Rights): Promise<RegionDescriptor[]> {
    return Promise.all(this.#spans.map((span, region) => endpoint.register(region, span, access)))
  }
}

const wayKey = (lane: Lane, peers: number): string => `${laneText(lane)} to ${peers}`
const newSession = (): Session => ({ id: randomBytes(16).toString("hex"), key: randomBytes(32) })
