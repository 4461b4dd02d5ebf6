import { randomBytes } from "node:crypto"
import { KvPool } from "../memory/kv-pool.ts"
import { copyBytes } from "../os/copy.ts"
import { hostMemory } from "../os/host-memory.ts"
import { stripe } from "../plan/stripe.ts"
import type { TransferPlan } from "../plan/transfer-plan.ts"
import { tcp } from "../transport/tcp/tcp.ts"
import type { Connection, Endpoint, RegionDescriptor } from "../transport/transport.ts"
import { fingerprintBlocks } from "../verify/fingerprint.ts"
import { Ceiling } from "./ceiling.ts"
import { type Job, jobPlan, jobTargetBlocks, jobTokens, poolLayout } from "./job.ts"
import { firstWrongWord, hashOfPieces, wipeTarget, writePattern } from "./pattern.ts"
import type { Offer, SideAnswers, SideQuestions } from "./side-messages.ts"

const host = "127.0.0.1"
/** A move that takes this long is stuck. */
const moveMillisMax = 60_000

/** The ways to the source with one number of streams. */
interface Way {
  readonly connection: Connection
  readonly regions: readonly RegionDescriptor[]
  readonly ceiling: Ceiling
}

/** One process of the transfer bench: a pool with its pattern, and every way to the other process. */
export class Side {
  readonly #pool: KvPool
  readonly #jobs: readonly Job[]
  readonly #plans: readonly TransferPlan[]
  readonly #endpoints: Endpoint[] = []
  readonly #ways = new Map<number, Way>()

  constructor({ jobs, layers, blocksPerLayer }: SideQuestions["open"]) {
    const layout = poolLayout(layers, blocksPerLayer)
    this.#pool = new KvPool(layout, hostMemory)
    this.#jobs = jobs
    this.#plans = jobs.map((job) => jobPlan(job, layout))
    for (const plan of this.#plans) writePattern(plan, this.#pool.spans)
  }

  /** Opens the fabric and the ceiling of `streams` streams on the side that has the bytes. */
  async offer({ streams }: SideQuestions["offer"]): Promise<Offer> {
    const endpoint = await tcp.open({ host, rails: streams })
    this.#endpoints.push(endpoint)
    const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
    const regions = await this.#register(endpoint)
    await endpoint.admit(session, { read: true, write: false })
    const ceiling = await Ceiling.send(this.#plans, this.#pool.spans, streams)
    return { streams, session, address: endpoint.address, regions, ceilingPorts: ceiling.ports }
  }

  /** Connects the side that wants the bytes. */
  async reach(offer: Offer): Promise<void> {
    const { streams, session, address, regions } = offer
    const endpoint = await tcp.open({ host, rails: streams })
    this.#endpoints.push(endpoint)
    await this.#register(endpoint)
    const deadline = performance.now() + moveMillisMax
    const connection = await endpoint.connect(session, address, { deadline, peerHost: host })
    const ceiling = await Ceiling.receive(this.#plans, this.#pool.spans, offer.ceilingPorts)
    this.#ways.set(streams, { connection, regions, ceiling })
  }

  wipe({ job }: SideQuestions["wipe"]): void {
    wipeTarget(this.#plans[job]!, this.#pool.spans)
  }

  /** Moves a job, `repeats` times one after the other. Returns the time of each. */
  async move({ job, mover, streams, repeats, damage }: SideQuestions["move"]): Promise<number[]> {
    const plan = this.#plans[job]!
    const micros =
      mover === "memcpy"
        ? this.#copy(plan, repeats)
        : mover === "ceiling"
          ? await this.#ways.get(streams)!.ceiling.run({ job, repeats })
          : await this.#pull(plan, streams, repeats)
    if (damage) {
      const middle = Math.floor(plan.pieces / 2)
      this.#pool.spans[plan.targetRegion[middle]!]!.view(plan.targetOffset[middle]! + 1, 1)[0]! ^= 1
    }
    return micros
  }

  /** Hashes what a job has at one side; looks at every word when the hash is not the expected one. */
  check({ job, side, expected }: SideQuestions["check"]): SideAnswers["check"] {
    const plan = this.#plans[job]!
    const { spans } = this.#pool
    const hash = hashOfPieces(plan, spans, side)
    return { hash, wrong: hash === expected ? undefined : firstWrongWord(plan, spans, side) }
  }

  /** Plans a job as an agent does, and hashes its blocks where they landed: the price of "full" integrity. */
  fingerprint({ job }: SideQuestions["fingerprint"]): SideAnswers["fingerprint"] {
    const spec = this.#jobs[job]!
    const { layout, spans } = this.#pool
    const started = performance.now()
    const { bytes } = jobPlan(spec, layout)
    const planned = performance.now()
    const shape = { ...layout.shape, layers: spec.layers }
    fingerprintBlocks({
      layout: { ...layout, shape },
      spans,
      blocks: jobTargetBlocks(spec),
      tokens: jobTokens(spec),
    })
    const hashed = performance.now()
    return { planMicros: (planned - started) * 1000, hashMicros: (hashed - planned) * 1000, bytes }
  }

  #register(endpoint: Endpoint): Promise<RegionDescriptor[]> {
    return Promise.all(
      this.#pool.spans.map((span, region) => endpoint.register(region, span, { read: true, write: false })),
    )
  }

  /** Source places hold the pattern here too, so a copy inside this pool moves the same bytes between the same places. */
  #copy(plan: TransferPlan, repeats: number): number[] {
    const { spans } = this.#pool
    return Array.from({ length: repeats }, () => {
      const started = performance.now()
      for (let i = 0; i < plan.pieces; i++) {
        const [source, target] = [spans[plan.sourceRegion[i]!]!, spans[plan.targetRegion[i]!]!]
        copyBytes(source, plan.sourceOffset[i]!, target, plan.targetOffset[i]!, plan.length[i]!)
      }
      return (performance.now() - started) * 1000
    })
  }

  async #pull(plan: TransferPlan, streams: number, repeats: number): Promise<number[]> {
    const { connection, regions } = this.#ways.get(streams)!
    const dealt = stripe(plan, streams)
    const micros: number[] = []
    for (let i = 0; i < repeats; i++) {
      const started = performance.now()
      const deadline = started + moveMillisMax
      await connection.move({ direction: "read", plan: dealt, remote: regions, deadline })
      micros.push((performance.now() - started) * 1000)
    }
    return micros
  }
}
