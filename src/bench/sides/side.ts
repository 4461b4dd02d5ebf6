import type { MemorySpan } from "../../memory/host-memory.ts"
import { copyBytes } from "../../os/copy.ts"
import type { TransferPlan } from "../../plan/transfer-plan.ts"
import { fingerprintBlocks } from "../../verify/fingerprint.ts"
import { Ceiling } from "../ceilings/ceiling.ts"
import { type Job, jobBlocks, jobPlan, type PoolShape, poolLayout } from "../job.ts"
import { firstWrongWord, hashOfPieces, wipeTarget, writePattern } from "../pattern.ts"
import { planSlice } from "../plan-parts.ts"
import { type AgentOffer, AgentWays } from "./agent-ways.ts"
import { CeilingWays } from "./ceiling-ways.ts"
import type { Lane } from "./lanes.ts"
import { type BenchPool, openPool } from "./pool.ts"
import type { Mover, PlainPorts, SideAnswers, SideQuestions } from "./side-messages.ts"
import type { Repeats, Timed } from "./timed.ts"
import { Ways } from "./ways.ts"

/** One process of the benchmark: a pool with its pattern, and every way to the other process. */
export class Side {
  readonly ways: Ways
  readonly agents: AgentWays
  readonly #shape: PoolShape
  readonly #pool: BenchPool
  readonly #jobs: readonly Job[]
  readonly #plans: readonly TransferPlan[]
  readonly #ceilings: CeilingWays | undefined
  readonly #plain = new Map<number, Ceiling>()
  /** By layer: where the blocks that were used in place last lie here. */
  #attached: readonly MemorySpan[] | undefined

  constructor({ pool, pages, jobs, library }: SideQuestions["open"]) {
    this.#shape = pool
    this.#pool = openPool(pool, pages)
    this.#jobs = jobs
    this.#plans = jobs.map((job) => jobPlan(job, pool))
    for (const plan of this.#plans) writePattern(plan, this.#pool.spans)
    this.ways = new Ways(this.#pool.spans)
    this.agents = new AgentWays(pool, this.#pool.spans)
    this.#ceilings = library === undefined ? undefined : new CeilingWays(library, this.#pool, this.#plans)
  }

  get places(): SideAnswers["places"] {
    return { pid: process.pid, files: this.#pool.files }
  }

  /** The ceilings of the side that has the bytes: in C where there was a compiler, else through the FFI. */
  async offerCeilings({ streams }: SideQuestions["offerCeilings"]): Promise<SideAnswers["offerCeilings"]> {
    if (this.#ceilings !== undefined) return { offer: this.#ceilings.offer(streams), plainPorts: [] }
    const plainPorts: PlainPorts[] = []
    for (const count of streams) {
      const ceiling = await Ceiling.send(this.#plans, this.#pool.spans, count)
      this.#plain.set(count, ceiling)
      plainPorts.push({ streams: count, ports: ceiling.ports })
    }
    return { offer: undefined, plainPorts }
  }

  async reachCeilings({ offer, plainPorts }: SideQuestions["reachCeilings"]): Promise<void> {
    if (offer !== undefined) this.#ceilings?.reach(offer)
    for (const { streams, ports } of plainPorts) {
      this.#plain.set(streams, await Ceiling.receive(this.#plans, this.#pool.spans, ports))
    }
  }

  offerAgent({ lane, job, sequences }: SideQuestions["offerAgent"]): Promise<AgentOffer> {
    return this.agents.offer(lane, this.#jobs[job]!, sequences)
  }

  tickets({ job, lane, level, count, times }: SideQuestions["tickets"]): Promise<Timed> {
    return this.agents.crowd(lane, this.#jobs[job]!, level, count, times)
  }

  attachments({ job, lane, level, sequence, times }: SideQuestions["attachments"]): Promise<Timed> {
    return this.agents.attach(lane, this.#jobs[job]!, sequence, level, times)
  }

  wipe({ job, refill }: SideQuestions["wipe"]): void {
    const plan = this.#plans[job]!
    wipeTarget(plan, this.#pool.spans)
    // A copy inside this pool reads the places that a source has. Other jobs may have wiped some of them.
    if (refill) writePattern(plan, this.#pool.spans)
  }

  /** Moves a job as often as told, one after the other. */
  async move({ job, mover, times, damage }: SideQuestions["move"]): Promise<Timed> {
    const timed = await this.#run(job, mover, times)
    if (damage) {
      const plan = this.#plans[job]!
      const middle = Math.floor(plan.pieces / 2)
      this.#pool.spans[plan.targetRegion[middle]!]!.view(plan.targetOffset[middle]! + 1, 1)[0]! ^= 1
    }
    return timed
  }

  crowd({ job, lane, pieces, parts, peers, times }: SideQuestions["crowd"]): Promise<Timed> {
    return this.ways.crowd(planSlice(this.#plans[job]!, 0, pieces), lane, parts, peers, times)
  }

  /** Hashes what a job has at one place; looks at every word when the hash is not the expected one. */
  check({ job, at, expected, pieces }: SideQuestions["check"]): SideAnswers["check"] {
    const whole = this.#plans[job]!
    const plan = pieces === undefined ? whole : planSlice(whole, 0, pieces)
    const spans = at === "attached" ? this.#attachedSpans : this.#pool.spans
    const side = at === "target" ? "target" : "source"
    const hash = hashOfPieces(plan, spans, side)
    return { hash, wrong: hash === expected ? undefined : firstWrongWord(plan, spans, side) }
  }

  async plan({ job, lane, repeats }: SideQuestions["plan"]): Promise<SideAnswers["plan"]> {
    const planMicros: number[] = []
    const prepareMicros: number[] = []
    const readMicros: number[] = []
    for (let i = 0; i < repeats; i++) {
      const started = performance.now()
      const plan = jobPlan(this.#jobs[job]!, this.#shape)
      planMicros.push((performance.now() - started) * 1000)
      prepareMicros.push(await this.ways.prepareMicros(plan, lane))
      readMicros.push(await this.agents.prepareMicros(lane, this.#jobs[job]!, "epoch"))
    }
    return { planMicros, prepareMicros, readMicros }
  }

  hash({ job, repeats }: SideQuestions["hash"]): Timed {
    const spec = this.#jobs[job]!
    const layout = poolLayout(this.#shape, spec.pieceBytes)
    const sequence = {
      layout: { ...layout, shape: { ...layout.shape, layers: spec.layers } },
      spans: this.#pool.spans,
      blocks: jobBlocks(spec, this.#shape).targets,
      tokens: spec.blocksPerLayer * layout.blockTokens,
    }
    const micros = Array.from({ length: repeats }, () => {
      const started = performance.now()
      fingerprintBlocks(sequence)
      return (performance.now() - started) * 1000
    })
    return { micros }
  }

  async #run(job: number, mover: Mover, times: Repeats): Promise<Timed> {
    const plan = this.#plans[job]!
    const spec = this.#jobs[job]!
    switch (mover.kind) {
      case "lane":
        return this.ways.pull(spec.name, plan, mover.lane, times)
      case "ticket":
        return this.agents.read(mover.lane, spec, mover.level, times)
      case "attach":
        this.#attached = await this.agents.attachedSpans(mover.lane, spec, mover.level)
        return this.agents.attach(mover.lane, spec, 0, mover.level, times)
      case "addresses":
        return this.#findBlocks(plan, mover.lane, times)
      case "memcpy":
        return this.#c.copy(job, mover.threads, times)
      case "vm-read":
        return this.#c.vmRead(job, mover.threads, times)
      case "stream":
        return this.#c.stream(job, mover.streams, mover.spin, times)
      case "wake":
        return this.#c.wake(mover.spin, times)
      case "own-copy":
        return this.#copy(plan, mover.by, times.repeats)
      case "plain-stream":
        return { micros: await this.#plain.get(mover.streams)!.run({ job, repeats: times.repeats }) }
    }
  }

  get #c(): CeilingWays {
    if (this.#ceilings === undefined) throw new Error("there are no C ceilings in this run")
    return this.#ceilings
  }

  /** The address of every piece of mapped regions, checked, ready to be read. */
  async #findBlocks(plan: TransferPlan, lane: Lane, { repeats }: Repeats): Promise<Timed> {
    const mapped = await this.ways.attached(lane)
    const spans = [...mapped.keys()].sort((a, b) => a - b).map((region) => mapped.get(region)!)
    this.#attached = spans
    const places = new Float64Array(plan.pieces)
    const micros: number[] = []
    for (let repeat = 0; repeat < repeats; repeat++) {
      const started = performance.now()
      for (let i = 0; i < plan.pieces; i++) {
        places[i] = spans[plan.sourceRegion[i]!]!.addressOf(plan.sourceOffset[i]!, plan.length[i]!)
      }
      micros.push((performance.now() - started) * 1000)
    }
    return { micros }
  }

  get #attachedSpans(): readonly MemorySpan[] {
    if (this.#attached === undefined) throw new Error("nothing was attached")
    return this.#attached
  }

  /** Source places hold the pattern here too, so a copy inside this pool moves the same bytes between like places. */
  #copy(plan: TransferPlan, by: "memmove" | "set", repeats: number): Timed {
    const { spans } = this.#pool
    const micros = Array.from({ length: repeats }, () => {
      const started = performance.now()
      for (let i = 0; i < plan.pieces; i++) {
        const [source, target] = [spans[plan.sourceRegion[i]!]!, spans[plan.targetRegion[i]!]!]
        const length = plan.length[i]!
        if (by === "memmove") copyBytes(source, plan.sourceOffset[i]!, target, plan.targetOffset[i]!, length)
        else target.view(plan.targetOffset[i]!, length).set(source.view(plan.sourceOffset[i]!, length))
      }
      return (performance.now() - started) * 1000
    })
    return { micros }
  }
}
