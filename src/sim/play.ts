import type { OnStep } from "../agent/agent.ts"
import { type IntegrityLevel, integrityLevels } from "../receipt/receipt.ts"
import { drawn, isLie, type TransportFaultKind } from "../transport/fault/fault-plan.ts"
import { withFaults } from "../transport/fault/with-faults.ts"
import type { Transport } from "../transport/transport.ts"
import type { GrantDirection } from "../wire/grant.ts"
import { closeAll, comeToRest } from "./at-rest.ts"
import { type Cluster, drawCluster } from "./cluster.ts"
import { Coverage } from "./coverage.ts"
import { SimFabric } from "./fabric/fabric.ts"
import { FaultsInForce } from "./faults-in-force.ts"
import { Links } from "./links.ts"
import { type Mishap, Mishaps, mishaps } from "./mishaps.ts"
import { SimNetwork } from "./network.ts"
import { SimNode } from "./node.ts"
import type { SimProcess } from "./process.ts"
import { Requests } from "./requests.ts"
import type { ScheduleOptions, ScheduleResult } from "./schedule-terms.ts"
import { Strangers } from "./strangers/strangers.ts"
import { type RequestTraits, type WorkKind, workKinds } from "./work/traits.ts"
import { bestPath, commonHeads, sameHeads } from "./work/verdict.ts"
import type { World } from "./world.ts"

/** Bounds of one schedule; times in virtual milliseconds. */
const bounds = {
  requests: [4, 16],
  mishaps: [0, 5],
  strangers: [0, 5],
  playMillis: 2000,
  leaseMillis: [20, 1500],
  timeoutMillis: [5, 1200],
  /** How long a fault of a transport counts as one in force. */
  transportFaultMillis: 60,
  /** Time for a request once nothing goes wrong. */
  worksMillis: 12_000,
  actionsMax: 400_000,
} as const

const honestFaults: readonly TransportFaultKind[] = ["delay", "reorder", "drop", "die"]

/** What a run of a schedule adds to its world's record. */
type Played = Pick<ScheduleResult, "actions" | "ends" | "mishaps" | "coverage">

/** One schedule: a world, its agents, what is asked of them, and what goes wrong meanwhile. */
export class Play {
  readonly #world: World
  readonly #options: ScheduleOptions
  readonly #links: Links
  readonly #network: SimNetwork
  readonly #fabrics: SimFabric[]
  readonly #cluster: Cluster
  readonly #nodes: SimNode[]
  readonly #requests: Requests
  readonly #mishaps: Mishaps
  readonly #strangers: Strangers
  readonly #inForce = new FaultsInForce()
  readonly #coverage = new Coverage()
  #number = 0
  #playing = true

  constructor(world: World, options: ScheduleOptions) {
    this.#world = world
    this.#options = options
    this.#links = new Links(world)
    this.#network = new SimNetwork(world, this.#links)
    const lies = options.lies ?? []
    this.#fabrics = (["mapped", "nic", "stream"] as const).map((kind) => {
      const fabric = new SimFabric(world, this.#links, { name: kind, kind, lies })
      fabric.objection = (owner, toucher, direction) => this.#objection(owner, toucher, direction)
      return fabric
    })
    this.#cluster = drawCluster(world)
    this.#requests = new Requests(world)
    const rate = world.random.shape.pick([0, 0, 0.1, 0.4])
    const onStep = this.#onStep()
    const ears = {
      onStep,
      onNotice: (...heard: Parameters<Requests["notes"]["hear"]>) => this.#requests.notes.hear(...heard),
    }
    this.#nodes = this.#cluster.members.map(
      (traits) =>
        new SimNode(
          world,
          this.#network,
          traits,
          (process, onLie) => this.#transports(process, onLie, rate),
          ears,
        ),
    )
    const scene = {
      world,
      links: this.#links,
      network: this.#network,
      fabrics: this.#fabrics,
      nodes: this.#nodes,
      hosts: this.#cluster.hosts,
      inForce: this.#inForce,
    }
    this.#mishaps = new Mishaps({ ...scene, keyOf: this.#cluster.credentials.keyOf })
    this.#strangers = new Strangers({
      ...scene,
      cluster: this.#cluster.credentials,
      ledger: this.#requests.ledger,
      onHandshake: onStep.handshake!,
    })
  }

  async run(): Promise<Played> {
    const { timeline } = this.#world
    for (const node of this.#nodes) node.start()
    this.#planRequests()
    this.#planMishaps()
    this.#planStrangers()
    let actions = await timeline.run(bounds.playMillis, bounds.actionsMax)
    this.#world.note("world", "nothing goes wrong any more")
    this.#playing = false
    this.#strangers.leave()
    this.#mishaps.makeGood()
    const setting = {
      world: this.#world,
      nodes: this.#nodes,
      fabrics: this.#fabrics,
      most: bounds.actionsMax,
    }
    actions += await comeToRest(setting, () => this.#requests.ledger.open === 0)
    actions += await this.#works()
    actions += await closeAll({ ...setting, network: this.#network })
    if (actions >= bounds.actionsMax) this.#world.broken("P8", "world", `${actions} actions, and no end`)
    return {
      actions,
      ends: this.#requests.ledger.ends,
      mishaps: this.#mishaps.counts,
      coverage: this.#coverage.counts,
    }
  }

  #onStep(): OnStep {
    const note = (machine: "ticket" | "lease" | "handshake") => (state: string, event: string) =>
      this.#coverage.note(machine, state, event, this.#inForce.names)
    return { ticket: note("ticket"), lease: note("lease"), handshake: note("handshake") }
  }

  #transports(process: SimProcess, onLie: () => void, rate: number): Transport[] {
    const world = this.#world
    const kinds = this.#options.transportFaults ?? honestFaults
    return this.#fabrics.map((fabric) => {
      const plan = drawn(() => world.random.faults.unit(), { rate, kinds, millisMost: 60 })
      return withFaults(fabric.of(process), (posted) => (this.#playing ? plan(posted) : undefined), {
        clock: process.clock,
        onFault: ({ number, fault }) => {
          world.note(process.name, `${fabric.name} post ${number}: ${JSON.stringify(fault)}`)
          world.timeline.after(bounds.transportFaultMillis, this.#inForce.begin(fault.kind))
          if (isLie(fault)) onLie()
        },
      })
    })
  }

  /** Who may touch whose memory, as the operators have it. */
  #objection(owner: SimProcess, toucher: SimProcess, direction: GrantDirection): string | undefined {
    const [whose, whom] = [owner, toucher].map(({ slot }) =>
      this.#nodes.find(({ traits }) => traits.name === slot),
    )
    if (whose === undefined || whom === undefined) return `${toucher.name} is a stranger`
    if (!whose.traits.offers[direction]) return `${whose.traits.name} lets nobody ${direction}`
    const { trust, times } = whose.traits
    const key = this.#cluster.credentials.keyOf(whom.traits.name)
    if (trust === undefined || key === undefined) return undefined
    return trust.objection(key, direction, owner, times.grantMillis)
  }

  #planRequests(): void {
    const { workload: random } = this.#world.random
    const count = random.between(...bounds.requests)
    for (let i = 0; i < count; i++) {
      this.#world.timeline.after(random.millis(1, bounds.playMillis * 0.9), () => {
        const [owner, holder] = random.shuffled(this.#nodes) as [SimNode, SimNode]
        this.#requests.begin(++this.#number, this.#draw(owner, holder))
      })
    }
  }

  #draw(owner: SimNode, holder: SimNode): RequestTraits {
    const { workload: random } = this.#world.random
    const timeoutMillis = random.millis(...bounds.timeoutMillis)
    const kind = random.chance(0.4) ? "pull" : random.pick<WorkKind>(workKinds)
    // Where nothing is mapped an attachment is refused, and that need not be seen often.
    const inVain = kind === "attach" && bestPath(holder, owner) !== "mapped" && random.chance(0.8)
    return {
      kind: inVain ? "prepared" : kind,
      owner,
      holder,
      tokens: random.between(1, 12),
      integrity: random.pick(integrityLevels),
      leaseMillis: random.millis(...bounds.leaseMillis),
      timeoutMillis,
      carryMillis: random.millis(0.1, 20),
      posts: random.between(1, 5),
      useMillis: random.pick([random.millis(0.1, 5), random.millis(1, 250)]),
      ...(random.chance(0.15) ? { cancelMillis: random.millis(0, Math.min(20, timeoutMillis)) } : {}),
      ...(random.chance(0.2) ? { withdrawMillis: random.millis(1, random.pick([15, 60, 400])) } : {}),
    }
  }

  #planMishaps(): void {
    const { faults: random } = this.#world.random
    const count = random.between(...bounds.mishaps)
    for (let i = 0; i < count; i++) {
      const mishap = random.pick(Object.keys(mishaps) as Mishap[])
      // A key is not off the list for a moment only: it shows when the grants that it had are over.
      const brief = mishap !== "key withdrawn" && random.chance(0.5)
      const lasts = brief ? random.millis(1, 50) : random.millis(50, 1800)
      this.#world.timeline.after(random.millis(5, bounds.playMillis), () =>
        this.#mishaps.happen(mishap, lasts),
      )
    }
  }

  #planStrangers(): void {
    const { strangers: random } = this.#world.random
    const count = random.between(...bounds.strangers)
    for (let i = 0; i < count; i++)
      this.#world.timeline.after(random.millis(5, bounds.playMillis), () => this.#strangers.happen())
  }

  /** Everybody still gives and takes, without a restart: each in a ring with the next one. */
  async #works(): Promise<number> {
    let actions = 0
    for (const [i, owner] of this.#nodes.entries()) {
      const holder = this.#nodes[(i + 1) % this.#nodes.length]!
      const fit = commonHeads(owner.traits.layout, holder.traits.layout) !== undefined
      if (!fit || bestPath(holder, owner) === undefined) continue
      let how = ""
      for (let attempt = 0; attempt < 3 && how !== "delivered"; attempt++) {
        let ended = false
        this.#requests.begin(++this.#number, plainPull(owner, holder), (end) => {
          how = end
          ended = true
        })
        const { timeline } = this.#world
        actions += await timeline.run(timeline.now + bounds.worksMillis, bounds.actionsMax, () => ended)
        if (how !== "delivered") actions += await timeline.run(timeline.now + 100, bounds.actionsMax)
      }
      if (how === "delivered") continue
      const what = `nothing goes wrong any more, and a pull from ${owner.traits.name} ends ${how || "never"}`
      this.#world.broken("P7", holder.traits.name, what)
    }
    return actions
  }
}

/** A request as plain as can be. */
function plainPull(owner: SimNode, holder: SimNode): RequestTraits {
  const integrity: IntegrityLevel = sameHeads(owner.traits.layout, holder.traits.layout) ? "full" : "epoch"
  const millis = { leaseMillis: 5000, timeoutMillis: 5000, carryMillis: 1, useMillis: 0 }
  return { kind: "pull", owner, holder, tokens: 3, integrity, posts: 1, ...millis }
}
