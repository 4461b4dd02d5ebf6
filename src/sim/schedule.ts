import { type KvOrder, wholeModelLayout } from "../kv/kv-layout.ts"
import { integrityLevels } from "../receipt/receipt.ts"
import { drawn, isLie, type TransportFaultKind } from "../transport/fault/fault-plan.ts"
import { withFaults } from "../transport/fault/with-faults.ts"
import type { Transport } from "../transport/transport.ts"
import { checkAtRest } from "./at-rest.ts"
import { type FabricLie, SimFabric } from "./fabric/fabric.ts"
import { Links } from "./links.ts"
import { type Mishap, Mishaps, mishaps } from "./mishaps.ts"
import { SimNetwork } from "./network.ts"
import { SimNode } from "./node.ts"
import type { SimProcess } from "./process.ts"
import type { Violation } from "./promise-broken.ts"
import { Requests, type RequestTraits } from "./requests.ts"
import { World } from "./world.ts"

/** What a caller may choose of a schedule; everything else is the seed's. */
export interface ScheduleOptions {
  readonly seed: number
  /** Lies of all its fabrics: for tests of the oracles. */
  readonly lies?: readonly FabricLie[]
  /** Faults of the wrapped transports; those that do not lie unless told. */
  readonly transportFaults?: readonly TransportFaultKind[]
}

/** What came of a schedule. */
export interface ScheduleResult {
  readonly seed: number
  readonly violations: readonly Violation[]
  readonly journal: readonly string[]
  readonly hash: string
  readonly virtualMillis: number
  readonly actions: number
  /** How requests ended, and how often. */
  readonly ends: ReadonlyMap<string, number>
  readonly mishaps: ReadonlyMap<Mishap, number>
}

/** One model: rows of eight bytes are enough to be told apart. */
const shape = { layers: 2, kvHeads: 2, headDim: 2, elementBytes: 4 }
/** Bounds of one schedule; times in virtual milliseconds. */
const bounds = {
  nodes: [2, 4],
  requests: [4, 16],
  mishaps: [0, 5],
  playMillis: 3000,
  leaseMillis: [20, 2000],
  timeoutMillis: [5, 1500],
  /** Time in which everything must have ended by itself, once everything works. */
  restMillis: 6000,
  actionsMax: 400_000,
} as const

const honestFaults: readonly TransportFaultKind[] = ["delay", "reorder", "drop", "die"]

/** Plays one schedule from beginning to end. Two runs of one seed are the same to the last line. */
export async function playSchedule(options: ScheduleOptions): Promise<ScheduleResult> {
  const world = new World(options.seed)
  const uncaught = (reason: unknown): void =>
    world.broken(
      "alive",
      "process",
      `a rejection that nobody handles: ${reason instanceof Error ? reason.stack : reason}`,
    )
  process.on("unhandledRejection", uncaught)
  try {
    const actions = await new Play(world, options).run()
    // Node tells of unhandled rejections when it comes back to its event loop.
    await new Promise(setImmediate)
    return {
      seed: options.seed,
      violations: world.violations,
      journal: world.journal.lines,
      hash: world.journal.hash,
      virtualMillis: world.now,
      actions: actions.actions,
      ends: actions.ends,
      mishaps: actions.mishaps,
    }
  } finally {
    process.off("unhandledRejection", uncaught)
  }
}

class Play {
  readonly #world: World
  readonly #options: ScheduleOptions
  readonly #links: Links
  readonly #network: SimNetwork
  readonly #fabrics: SimFabric[]
  readonly #hosts: string[]
  readonly #nodes: SimNode[]
  readonly #requests: Requests
  readonly #mishaps: Mishaps
  #number = 0
  #playing = true

  constructor(world: World, options: ScheduleOptions) {
    this.#world = world
    this.#options = options
    this.#links = new Links(world)
    this.#network = new SimNetwork(world, this.#links)
    const lies = options.lies ?? []
    this.#fabrics = (["mapped", "nic", "stream"] as const).map(
      (kind) => new SimFabric(world, this.#links, { name: kind, kind, lies }),
    )
    const { shape: random } = world.random
    this.#hosts = Array.from({ length: random.between(1, 3) }, (_, i) => `10.0.0.${i + 1}`)
    const secret = Uint8Array.from({ length: 32 }, () => random.below(256))
    const rate = random.pick([0, 0, 0.1, 0.4])
    this.#nodes = Array.from({ length: random.between(...bounds.nodes) }, (_, i) =>
      this.#node(i, secret, rate),
    )
    this.#requests = new Requests(world)
    this.#mishaps = new Mishaps({
      world,
      links: this.#links,
      network: this.#network,
      fabrics: this.#fabrics,
      nodes: this.#nodes,
      hosts: this.#hosts,
    })
  }

  async run(): Promise<{
    readonly actions: number
    readonly ends: ReadonlyMap<string, number>
    readonly mishaps: ReadonlyMap<Mishap, number>
  }> {
    const { timeline } = this.#world
    for (const node of this.#nodes) node.start()
    this.#planRequests()
    this.#planMishaps()
    let actions = await timeline.run(bounds.playMillis, bounds.actionsMax)
    this.#world.note("world", "nothing goes wrong any more")
    this.#playing = false
    this.#mishaps.makeGood()
    actions += await timeline.run(this.#world.now + bounds.restMillis, bounds.actionsMax)
    actions += await this.#works()
    actions += await this.#close()
    if (actions >= bounds.actionsMax) this.#world.broken("P8", "world", `${actions} actions, and no end`)
    return { actions, ends: this.#requests.ends, mishaps: this.#mishaps.counts }
  }

  #node(index: number, secret: Uint8Array, rate: number): SimNode {
    const world = this.#world
    const { shape: random } = world.random
    const paths = random.pick([
      ["mapped", "nic", "stream"],
      ["mapped", "stream"],
      ["nic", "stream"],
      ["stream", "nic"],
      ["stream"],
    ])
    const layout = wholeModelLayout(shape, {
      blocks: random.between(6, 14),
      blockTokens: random.between(1, 4),
      order: random.pick<KvOrder>(["head-major", "token-major"]),
    })
    const traits = {
      name: "abcdefgh"[index]!,
      host: random.pick(this.#hosts),
      port: 7000 + index,
      layout,
      secret,
      integrity: "full" as const,
      times: { holdMillis: 600, holdMillisMax: 10_000, handshakeMillis: 500, grantMillis: 2500 },
      paths,
    }
    const kinds = this.#options.transportFaults ?? honestFaults
    const transports = (process: SimProcess, onLie: () => void): Transport[] =>
      this.#fabrics.map((fabric) => {
        const plan = drawn(() => world.random.faults.unit(), { rate, kinds, millisMost: 60 })
        return withFaults(fabric.of(process), (posted) => (this.#playing ? plan(posted) : undefined), {
          clock: process.clock,
          onFault: ({ number, fault }) => {
            world.note(process.name, `${fabric.name} post ${number}: ${JSON.stringify(fault)}`)
            if (isLie(fault)) onLie()
          },
        })
      })
    return new SimNode(world, this.#network, traits, transports, {})
  }

  #planRequests(): void {
    const { workload: random } = this.#world.random
    const count = random.between(...bounds.requests)
    for (let i = 0; i < count; i++) {
      this.#world.timeline.after(random.millis(1, bounds.playMillis * 0.9), () => {
        const [source, target] = random.shuffled(this.#nodes) as [SimNode, SimNode]
        this.#requests.begin(++this.#number, this.#draw(source, target))
      })
    }
  }

  #draw(source: SimNode, target: SimNode): RequestTraits {
    const { workload: random } = this.#world.random
    const timeoutMillis = random.millis(...bounds.timeoutMillis)
    return {
      source,
      target,
      tokens: random.between(1, 12),
      integrity: random.pick(integrityLevels),
      leaseMillis: random.millis(...bounds.leaseMillis),
      timeoutMillis,
      carryMillis: random.millis(0.1, 20),
      ...(random.chance(0.15) ? { cancelMillis: random.millis(0, Math.min(20, timeoutMillis)) } : {}),
    }
  }

  #planMishaps(): void {
    const { faults: random } = this.#world.random
    const count = random.between(...bounds.mishaps)
    for (let i = 0; i < count; i++) {
      const mishap = random.pick(Object.keys(mishaps) as Mishap[])
      const lasts = random.chance(0.5) ? random.millis(1, 50) : random.millis(50, 2500)
      this.#world.timeline.after(random.millis(5, bounds.playMillis), () =>
        this.#mishaps.happen(mishap, lasts),
      )
    }
  }

  /** Everybody works with everybody again, without a restart. */
  async #works(): Promise<number> {
    const { timeline } = this.#world
    let actions = 0
    for (const source of this.#nodes) {
      for (const target of this.#nodes) {
        if (source === target || bestCommon(source, target) === undefined) continue
        let how = ""
        for (let attempt = 0; attempt < 3 && how !== "delivered"; attempt++) {
          const traits: RequestTraits = {
            source,
            target,
            tokens: 3,
            integrity: "full",
            leaseMillis: 5000,
            timeoutMillis: 5000,
            carryMillis: 1,
          }
          let ended = false
          this.#requests.begin(++this.#number, traits, (end) => {
            how = end
            ended = true
          })
          actions += await timeline.run(this.#world.now + 12_000, bounds.actionsMax, () => ended)
          actions += await timeline.run(this.#world.now + 100, bounds.actionsMax)
        }
        if (how !== "delivered") {
          const what = `nothing goes wrong any more, and a pull from ${source.traits.name} ends ${how || "never"}`
          this.#world.broken("P7", target.traits.name, what)
        }
      }
    }
    return actions
  }

  /** Closes everything, and looks for what was left behind. */
  async #close(): Promise<number> {
    const { timeline } = this.#world
    let actions = await timeline.run(this.#world.now + 1500, bounds.actionsMax)
    for (const node of this.#nodes) checkAtRest(this.#world, node)
    for (const { life } of this.#nodes) {
      life?.process.deliver(() => {
        const close = async (): Promise<void> => {
          await life.agent[Symbol.asyncDispose]()
          for (const endpoint of life.endpoints) await endpoint[Symbol.asyncDispose]()
          life.pool[Symbol.dispose]()
          closed += 1
        }
        close().catch((error: unknown) =>
          this.#world.broken("alive", life.process.name, `its close: ${error}`),
        )
      })
    }
    let closed = 0
    actions += await timeline.run(this.#world.now + 6000, bounds.actionsMax)
    if (closed !== this.#nodes.length)
      this.#world.broken("P7", "world", `${closed} of ${this.#nodes.length} agents closed`)
    for (const { life } of this.#nodes) {
      if (life === undefined) continue
      const { timers, name } = life.process
      if (timers !== 0) this.#world.broken("P7", name, `${timers} timers are left after the close`)
      const sockets = this.#network.openOf(life.process).length
      if (sockets !== 0) this.#world.broken("P7", name, `${sockets} channels are left after the close`)
    }
    for (const fabric of this.#fabrics) {
      if (fabric.endpoints.size !== 0)
        this.#world.broken("P7", fabric.name, "endpoints are left after the close")
    }
    return actions
  }
}

function bestCommon(source: SimNode, target: SimNode): string | undefined {
  return target.traits.paths.find(
    (path) =>
      source.traits.paths.includes(path) && (path !== "mapped" || target.traits.host === source.traits.host),
  )
}
