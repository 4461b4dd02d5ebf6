import { type Agent, type AgentTimes, type OnStep, openAgent } from "../agent/agent.ts"
import type { Notice } from "../agent/caller.ts"
import type { Credentials } from "../agent/credentials.ts"
import type { Entropy } from "../agent/entropy.ts"
import type { KvLayout } from "../kv/kv-layout.ts"
import { KvPool } from "../memory/kv-pool.ts"
import type { IntegrityLevel } from "../receipt/receipt.ts"
import type { Endpoint, Rights, Transport } from "../transport/transport.ts"
import { plainHasher } from "../verify/hasher.ts"
import { type SimMapping, SimMemory } from "./memory.ts"
import type { SimNetwork } from "./network.ts"
import { SimProcess } from "./process.ts"
import type { SimTrust } from "./trust.ts"
import type { World } from "./world.ts"

/** What stays the same of an agent through all its lives. */
export interface NodeTraits {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly layout: KvLayout
  readonly credentials: Credentials
  /** Its trusted keys, in a cluster that has keys. */
  readonly trust?: SimTrust
  readonly integrity: IntegrityLevel
  readonly integrityFloor: IntegrityLevel
  readonly offers: Rights
  readonly times: AgentTimes
  /** The transports of its policy, best first. */
  readonly paths: readonly string[]
}

/** One life of an agent: its process, its memory, its fabrics. */
export interface Life {
  readonly process: SimProcess
  readonly pool: KvPool
  /** The pool's regions, as memory that can be guarded. */
  readonly layers: readonly SimMapping[]
  readonly endpoints: readonly Endpoint[]
  readonly agent: Agent
  /** Set once a fabric of this life has lied about bytes: from then on only hashes can tell. */
  readonly lied: boolean
}

/** What a node's surroundings hear of it. */
export interface NodeEars {
  readonly onStep: OnStep
  readonly onNotice: (process: SimProcess, notice: Notice) => void
}

/** An agent at an address, which may die and come back. */
export class SimNode {
  readonly traits: NodeTraits
  readonly #world: World
  readonly #network: SimNetwork
  readonly #transports: (process: SimProcess, onLie: () => void) => readonly Transport[]
  readonly #ears: NodeEars
  #lives = 0
  #process: SimProcess | undefined
  #life: Life | undefined

  constructor(
    world: World,
    network: SimNetwork,
    traits: NodeTraits,
    transports: (process: SimProcess, onLie: () => void) => readonly Transport[],
    ears: NodeEars,
  ) {
    this.#world = world
    this.#network = network
    this.traits = traits
    this.#transports = transports
    this.#ears = ears
  }

  get address(): string {
    return `${this.traits.host}:${this.traits.port}`
  }

  /** Its process, also while it starts. */
  get process(): SimProcess | undefined {
    return this.#process?.state === "dead" ? undefined : this.#process
  }

  /** Its present life, once it listens; undefined while it is dead. */
  get life(): Life | undefined {
    return this.process === undefined ? undefined : this.#life
  }

  /** Starts it, or starts it again: another boot id at the same address. */
  start(): void {
    if (this.process !== undefined) return
    const { name, host } = this.traits
    const skewMillis = this.#world.random.shape.between(0, 1_000_000)
    const process = new SimProcess(this.#world, { slot: name, life: ++this.#lives, host, skewMillis })
    this.#process = process
    this.#life = undefined
    this.#world.note(process.name, "starts")
    process.deliver(() => {
      this.#open(process).catch((error: unknown) => {
        this.#world.broken("alive", process.name, `it did not start: ${String(error)}`)
      })
    })
  }

  async #open(process: SimProcess): Promise<void> {
    const { name, host, port, layout, credentials, integrity, integrityFloor, offers, paths, times } =
      this.traits
    const entropy = this.#entropy()
    let lied = false
    const onLie = (): void => {
      lied = true
    }
    const memory = new SimMemory(process)
    const pool = new KvPool(layout, memory)
    const byName = new Map(this.#transports(process, onLie).map((transport) => [transport.name, transport]))
    const endpoints = await Promise.all(paths.map((path) => byName.get(path)!.open({ host, rails: 1 })))
    const agent = await openAgent({
      party: { pid: this.#lives, agentId: name, bootId: Buffer.from(entropy.bytes(16)).toString("hex") },
      software: "sim",
      model: "one",
      credentials,
      layout,
      spans: pool.spans,
      epochs: pool.epochs,
      endpoints,
      network: this.#network.of(process),
      clock: process.clock,
      memory,
      hasher: plainHasher,
      integrity,
      integrityFloor,
      offers,
      times,
      entropy,
      onStep: this.#ears.onStep,
      onNotice: (notice) => this.#ears.onNotice(process, notice),
    })
    await agent.listen(host, port)
    this.#life = {
      process,
      pool,
      layers: memory.mappings.filter(({ name: mapped }) => mapped.includes("/layer-")),
      endpoints,
      agent,
      get lied() {
        return lied
      },
    }
  }

  #entropy(): Entropy {
    const random = this.#world.random.crypto
    return {
      bytes: (count) => Uint8Array.from({ length: count }, () => random.below(256)),
      below: (below) => random.below(below),
    }
  }
}
