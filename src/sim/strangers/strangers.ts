import type { Credentials } from "../../agent/credentials.ts"
import type { GreetOptions } from "../../agent/greet.ts"
import { identityOfSeed } from "../../agent/key-pairs.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { Card } from "../../wire/card.ts"
import type { SimFabric } from "../fabric/fabric.ts"
import type { FaultsInForce } from "../faults-in-force.ts"
import type { SimNetwork } from "../network.ts"
import type { SimNode } from "../node.ts"
import { SimProcess } from "../process.ts"
import type { Random } from "../random.ts"
import type { ClusterCredentials } from "../trust.ts"
import type { Ledger } from "../work/ledger.ts"
import type { World } from "../world.ts"
import { doorkeeper } from "./doorkeeper.ts"
import { intrude } from "./intruder.ts"
import { type Rogue, replayer, rogueCaller, rogueListener } from "./rogues.ts"

/** What strangers do; the name of each is a fault in the table of what was reached. */
const doings = ["rogue caller", "rogue listener", "replay", "intruder", "slow door"] as const
type Doing = (typeof doings)[number]

/** Conversations that are kept to be replayed, and the most bytes of one. */
const recording = { conversations: 8, bytes: 8192 } as const
const firstPort = 9000
/** How long a stranger is about, and how patient the agents are that are sent to one. Milliseconds. */
const about = 400
const visitMillis = { least: 5, most: 300 } as const

/** What strangers find in the world. */
export interface StrangersScene {
  readonly world: World
  readonly network: SimNetwork
  readonly fabrics: readonly SimFabric[]
  readonly nodes: readonly SimNode[]
  readonly hosts: readonly string[]
  readonly cluster: ClusterCredentials
  readonly inForce: FaultsInForce
  readonly ledger: Ledger
  readonly onHandshake: NonNullable<GreetOptions["onStep"]>
}

/** Everybody who is not one of the agents: they call them, listen for them, and try the doors of their fabrics. */
export class Strangers {
  readonly #scene: StrangersScene
  readonly #random: Random
  readonly #processes: SimProcess[] = []
  readonly #recorded: Uint8Array[] = []
  #count = 0

  constructor(scene: StrangersScene) {
    this.#scene = scene
    this.#random = scene.world.random.strangers
    scene.network.onJoin = (caller) => this.#record(caller)
  }

  /** Something is done by one of them, now. */
  happen(): void {
    const { world, inForce } = this.#scene
    const doing = this.#random.pick(doings)
    const over = inForce.begin(doing)
    world.timeline.after(about, over)
    const process = this.#process()
    world.note(process.name, doing)
    process.deliver(() => {
      this.#do(doing, process).catch((thrown: unknown) => {
        world.broken("alive", process.name, `${doing}: ${thrown instanceof Error ? thrown.stack : thrown}`)
      })
    })
  }

  /** All of them are gone. */
  leave(): void {
    for (const process of this.#processes.splice(0)) process.die()
  }

  async #do(doing: Doing, process: SimProcess): Promise<void> {
    const random = this.#random
    const { fabrics, nodes } = this.#scene
    const { host, port } = random.pick(nodes).traits
    const rogue = this.#rogue(process)
    switch (doing) {
      case "rogue caller":
        return rogueCaller(rogue, host, port)
      case "replay": {
        if (this.#recorded.length === 0) return
        return replayer(rogue, host, port, random.pick(this.#recorded))
      }
      case "rogue listener":
      case "slow door": {
        const at = { host: process.host, port: firstPort + this.#count }
        if (doing === "rogue listener") {
          await rogueListener(rogue, at.host, at.port)
          return this.#visit(`${at.host}:${at.port}`)
        }
        const member = this.#rogue(process, true)
        await doorkeeper(member, at, this.#scene.onHandshake)
        this.#visit(`${at.host}:${at.port}`)
        // One with bad manners comes too.
        return rogueCaller(this.#rogue(process, true), at.host, at.port)
      }
      case "intruder": {
        const fabric = random.pick(fabrics)
        const open = [...fabric.endpoints.values()]
        if (open.length > 0) await intrude(process, fabric, random.pick(open), random)
      }
    }
  }

  /** An agent calls a stranger's address, as one that was told the wrong one would. It must come to an end. */
  #visit(address: string): void {
    const { world, nodes, ledger } = this.#scene
    const life = this.#random.pick(nodes).life
    if (life === undefined) return
    const timeoutMillis = this.#random.millis(visitMillis.least, visitMillis.most)
    const wait = this.#random.millis(0, 20)
    life.process.later(wait, () => {
      const ended = ledger.patience(life.process, timeoutMillis, `the connect to the stranger at ${address}`)
      life.agent.connect(address, timeoutMillis).then(
        () => world.broken("P6", life.process.name, `took the stranger at ${address} for a peer`),
        (thrown: unknown) => {
          ended()
          const how = thrown instanceof KvError ? thrown.code : String(thrown)
          world.note(life.process.name, `${address} is no peer: ${how}`)
          if (!(thrown instanceof KvError)) world.broken("alive", life.process.name, how)
        },
      )
    })
  }

  #process(): SimProcess {
    const { world, hosts } = this.#scene
    const slot = `x${++this.#count}`
    const process = new SimProcess(world, { slot, life: 1, host: this.#random.pick(hosts), skewMillis: 0 })
    this.#processes.push(process)
    return process
  }

  #rogue(process: SimProcess, insider = this.#random.chance(0.6)): Rogue {
    const { world, network, nodes } = this.#scene
    const random = this.#random
    const played = random.pick(nodes)
    const { layout } = played.traits
    const card: Card = {
      version: 2,
      agentId: process.slot,
      bootId: "5a".repeat(16),
      pid: 1,
      software: "sim",
      model: "one",
      layout,
      transports: [],
    }
    const credentials = insider ? played.traits.credentials : this.#wrong()
    const onLeak = (what: string): void => world.broken("P6", process.name, what)
    return { process, network, random, mask: { credentials, card }, insider, onLeak }
  }

  /** Credentials of the cluster's kind that are not the cluster's. */
  #wrong(): Credentials {
    const random = this.#random
    const bytes = (): Uint8Array => Uint8Array.from({ length: 32 }, () => random.below(256))
    const { kind } = this.#scene.cluster
    const identity = identityOfSeed(bytes())
    // It trusts whomever it meets: it wants to be let in.
    const trust = {
      source: "nothing",
      find: (publicKey: string) => ({ publicKey, may: { read: true, write: true } }),
    }
    if (kind === "secret") return { secret: bytes() }
    return kind === "key" ? { identity, trust } : { secret: bytes(), identity, trust }
  }

  #record(caller: { tap(listener: (bytes: Uint8Array) => void): void }): void {
    if (this.#recorded.length >= recording.conversations) return
    const at = this.#recorded.push(new Uint8Array(0)) - 1
    caller.tap((bytes) => {
      const before = this.#recorded[at]!
      if (before.byteLength + bytes.byteLength <= recording.bytes)
        this.#recorded[at] = new Uint8Array(Buffer.concat([before, bytes]))
    })
  }
}
