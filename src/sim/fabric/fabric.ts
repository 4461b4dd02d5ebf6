import type { Transport } from "../../transport/transport.ts"
import type { GrantDirection } from "../../wire/grant.ts"
import type { Links } from "../links.ts"
import type { SimProcess } from "../process.ts"
import type { World } from "../world.ts"
import { SimEndpoint } from "./endpoint.ts"
import type { EndpointPart, FabricKind, FabricLie, FabricPart } from "./parts.ts"

export interface FabricTraits {
  readonly name: string
  readonly kind: FabricKind
  readonly lies?: readonly FabricLie[]
}

/** One fabric of a simulated world: what joins the endpoints that its processes open. */
export class SimFabric implements FabricPart {
  readonly world: World
  readonly links: Links
  readonly name: string
  readonly kind: FabricKind
  /** Open endpoints by their tokens. */
  readonly endpoints = new Map<string, EndpointPart>()
  /** Says why a process may not touch the memory of another; undefined when it may. */
  objection: (owner: SimProcess, toucher: SimProcess, direction: GrantDirection) => string | undefined = () =>
    undefined
  readonly #lies: ReadonlySet<FabricLie>
  #nextToken = 1

  constructor(world: World, links: Links, traits: FabricTraits) {
    this.world = world
    this.links = links
    this.name = traits.name
    this.kind = traits.kind
    this.#lies = new Set(traits.lies)
  }

  lies(lie: FabricLie): boolean {
    return this.#lies.has(lie)
  }

  /** The fabric as one process sees it. */
  of(process: SimProcess): Transport {
    return {
      name: this.name,
      open: (options) => {
        const token = `${process.name}/${this.#nextToken++}`
        const endpoint = new SimEndpoint(this, process, options.rails, token)
        this.endpoints.set(endpoint.token, endpoint)
        process.onDeath(() => this.endpoints.delete(endpoint.token))
        return Promise.resolve(endpoint)
      },
    }
  }

  /** The endpoint that lives now where `endpoint` lived. */
  successorOf(endpoint: EndpointPart): EndpointPart | undefined {
    for (const other of this.endpoints.values()) {
      if (other.process.slot === endpoint.process.slot && other !== endpoint) return other
    }
    return undefined
  }
}
