import type { SimFabric } from "./fabric/fabric.ts"
import { lostPeer } from "./fabric/fabric-errors.ts"
import type { ConnectionPart } from "./fabric/parts.ts"
import type { FaultsInForce } from "./faults-in-force.ts"
import type { Links } from "./links.ts"
import type { SimNetwork } from "./network.ts"
import type { SimNode } from "./node.ts"
import type { World } from "./world.ts"

/** What goes wrong in the world around the agents. */
export const mishaps = {
  kill: "a process is killed, and started again later at its address",
  "power off": "a host loses its power without a farewell, and comes back later",
  pause: "a process is stopped for a while",
  "cut both": "two hosts do not reach each other for a while",
  "cut one": "one direction between two hosts is cut for a while",
  slow: "a link is slow for a while",
  reset: "a control channel is reset, in the middle of whatever it carries",
  "fabric lost": "a connection of a fabric is lost, its processes live",
  "key withdrawn": "an agent's operator takes a key off the list, and puts it back later",
} as const

export type Mishap = keyof typeof mishaps

/** The world in which mishaps happen. */
export interface Scene {
  readonly world: World
  readonly links: Links
  readonly network: SimNetwork
  readonly fabrics: readonly SimFabric[]
  readonly nodes: readonly SimNode[]
  readonly hosts: readonly string[]
  readonly inForce: FaultsInForce
  /** The public key of a member; undefined in a cluster without keys. */
  readonly keyOf: (name: string) => string | undefined
}

/** Makes things go wrong, and right again after a while. */
export class Mishaps {
  readonly counts = new Map<Mishap, number>()
  readonly #scene: Scene

  constructor(scene: Scene) {
    this.#scene = scene
  }

  /** Lets one happen now; it is over after `millis`. */
  happen(mishap: Mishap, millis: number): void {
    const { world, inForce } = this.#scene
    const undo = this.#begin(mishap)
    if (undo === undefined) return
    this.counts.set(mishap, (this.counts.get(mishap) ?? 0) + 1)
    const over = inForce.begin(mishap)
    world.timeline.after(millis, () => {
      over()
      undo()
    })
  }

  /** Ends all of them: every process runs, every link works. */
  makeGood(): void {
    const { links, nodes, keyOf } = this.#scene
    links.healAll()
    for (const node of nodes) {
      for (const other of nodes) {
        const key = keyOf(other.traits.name)
        if (key !== undefined) node.traits.trust?.restore(key)
      }
      node.process?.resume()
      node.start()
    }
  }

  /** Begins one; returns what ends it, or undefined when there is nothing that it could befall. */
  #begin(mishap: Mishap): (() => void) | undefined {
    const { world, links, network, fabrics, nodes, hosts, keyOf } = this.#scene
    const random = world.random.faults
    switch (mishap) {
      case "kill": {
        const node = random.pick(nodes)
        if (node.process === undefined) return undefined
        node.process.die()
        return () => {
          if (!links.isOff(node.traits.host)) node.start()
        }
      }
      case "power off": {
        const host = random.pick(hosts)
        if (links.isOff(host)) return undefined
        world.note("links", `${host} loses its power`)
        links.power(host, false)
        const dead = nodes.filter((node) => node.traits.host === host)
        for (const node of dead) node.process?.die()
        return () => {
          links.power(host, true)
          for (const node of dead) node.start()
        }
      }
      case "pause": {
        const process = random.pick(nodes).process
        if (process?.state !== "running") return undefined
        process.pause()
        return () => process.resume()
      }
      case "cut both":
      case "cut one": {
        if (hosts.length < 2) return undefined
        const [a, b] = random.shuffled(hosts) as [string, string]
        const directions: [string, string][] =
          mishap === "cut one"
            ? [[a, b]]
            : [
                [a, b],
                [b, a],
              ]
        for (const [from, to] of directions) links.cut(from, to)
        return () => {
          for (const [from, to] of directions) links.heal(from, to)
        }
      }
      case "slow": {
        const [from, to] = [random.pick(hosts), random.pick(hosts)]
        links.slow(from, to, { least: 5, most: 60 })
        return () => links.slow(from, to, undefined)
      }
      case "reset": {
        const open = network.open()
        if (open.length === 0) return undefined
        const socket = random.pick(open)
        world.note(socket.process.name, `its channel to ${socket.peer} is reset`)
        socket.reset()
        return () => {}
      }
      case "fabric lost": {
        const connections: ConnectionPart[] = fabrics.flatMap((fabric) =>
          [...fabric.endpoints.values()].flatMap((endpoint) => [...endpoint.connections]),
        )
        if (connections.length === 0) return undefined
        const connection = random.pick(connections)
        world.note(connection.local.process.name, `its ${connection.transport} connection is lost`)
        connection.fail(lostPeer("a fault was planted"))
        return () => {}
      }
      case "key withdrawn": {
        const [owner, other] = random.shuffled(nodes) as [SimNode, SimNode]
        const key = keyOf(other.traits.name)
        const { trust } = owner.traits
        if (key === undefined || trust === undefined) return undefined
        trust.withdraw(key, owner.process)
        return () => trust.restore(key)
      }
    }
  }
}
