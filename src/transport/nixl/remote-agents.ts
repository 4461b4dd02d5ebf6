import type { NixlAgent } from "../../os/nixl/nixl-agent.ts"
import type { Places } from "./side-messages.ts"

/** Another endpoint's agent as NIXL knows it here. All connections to one endpoint share it. */
export interface RemoteAgent {
  readonly name: string
  /** Registrations of which NIXL has the metadata, by their device numbers. */
  readonly devices: Set<number>
  users: number
}

/** The agents whose metadata was loaded. NIXL keeps one copy for each name, so this counts who still needs it. */
export class RemoteAgents {
  readonly #agent: NixlAgent
  readonly #known = new Map<string, RemoteAgent>()

  constructor(agent: NixlAgent) {
    this.#agent = agent
  }

  /** Makes an agent known, by the connection part of its metadata. */
  enter(name: string, metadata: Buffer): RemoteAgent {
    let remote = this.#known.get(name)
    if (remote === undefined) {
      this.#agent.loadMetadata(metadata)
      remote = { name, devices: new Set(), users: 0 }
      this.#known.set(name, remote)
    }
    remote.users += 1
    return remote
  }

  /** Takes what a peer sent of its regions, unless another connection has brought it already. */
  learn(remote: RemoteAgent, { places, metadata }: Places): void {
    if (metadata === undefined || places.every(({ device }) => remote.devices.has(device))) return
    this.#agent.loadMetadata(metadata)
    for (const { device } of places) remote.devices.add(device)
  }

  /** NIXL failed towards it and has forgotten it: the next connection brings its metadata again. */
  fail(remote: RemoteAgent): void {
    if (this.#known.get(remote.name) === remote) this.#known.delete(remote.name)
  }

  /** A connection needs it no more; its lists were released. The last one lets NIXL disconnect. */
  leave(remote: RemoteAgent): void {
    remote.users -= 1
    if (remote.users > 0 || this.#known.get(remote.name) !== remote) return
    this.#known.delete(remote.name)
    this.#agent.forget(remote.name)
  }
}
