import { fingerprintBytes, hashText } from "../../verify/fingerprint.ts"
import { WrongBytes } from "./contender.ts"
import type { DealtLoad, DealtMove } from "./deal-load.ts"
import type { Arrival, Checked, Places } from "./judged-memory.ts"
import type { LoadAgent } from "./load-agent.ts"
import type { LoadRequest } from "./load-request.ts"

/** Whom blocks come to, whichever side posts. */
export const receives = (agent: LoadAgent): boolean => agent.dealt.side === "decode"

/** What is in the memory of an engine's agents, round by round: filled before each, and looked at after it. */
export class MovedBytes {
  readonly #agents: readonly LoadAgent[]
  readonly #dealt: DealtLoad
  readonly #mayChange: boolean
  /** Which filling of the sources should have arrived. */
  #epoch = 0

  constructor(load: {
    readonly agents: readonly LoadAgent[]
    readonly dealt: DealtLoad
    readonly request: LoadRequest
  }) {
    this.#agents = load.agents
    this.#dealt = load.dealt
    this.#mayChange = bytesMayChange(load.request)
  }

  /** New words at the sources, where they may change under a lease, and poison where they shall land. */
  async refill(round: number): Promise<void> {
    if (this.#mayChange) {
      this.#epoch = (round + 1) % 256
      for (const { source, plan } of this.#dealt.moves)
        await this.#agents[source]!.fill(placesOf(plan, "source"), this.#epoch, false)
    }
    await this.poison((round + 1) % 256)
  }

  /** Poison where something shall land. */
  async poison(epoch: number): Promise<void> {
    for (const { target, plan } of this.#dealt.moves)
      await this.#agents[target]!.fill(placesOf(plan, "target"), epoch, true)
  }

  /** Looks at every byte of every agent that received something, and of sources that were not refilled. @throws WrongBytes. */
  async checkAll(): Promise<string> {
    const hashes = await this.look((agent, arrivals) => agent.checkAll(arrivals))
    for (const agent of this.#agents) {
      if (!receives(agent) && this.#epoch === 0) right(agent, await agent.checkSource(0))
    }
    return oneHash(hashes)
  }

  /** Looks at every agent that received something. Returns their hashes. @throws WrongBytes. */
  async look(check: (agent: LoadAgent, arrivals: readonly Arrival[]) => Promise<Checked>): Promise<string[]> {
    const hashes: string[] = []
    for (const agent of this.#agents) {
      const arrivals = this.#dealt.moves
        .filter(({ target }) => target === agent.dealt.owner)
        .map(({ source, plan }) => ({ owner: source, epoch: this.#epoch, plan }))
      if (arrivals.length > 0) hashes.push(right(agent, await check(agent, arrivals)).hash)
    }
    return hashes
  }
}

/** One for all agents that received something. */
export const oneHash = (hashes: readonly string[]): string =>
  hashes.length === 1 ? hashes[0]! : hashText(fingerprintBytes(Buffer.from(hashes.join(" "))))

/** Hashes of a lease are made once: where they are compared, its bytes must stay what they are, for everybody. */
export const bytesMayChange = ({ integrity }: LoadRequest): boolean =>
  integrity === "none" || integrity === "epoch"

function placesOf(plan: DealtMove["plan"], side: "source" | "target"): Places {
  return side === "source"
    ? { region: plan.sourceRegion, offset: plan.sourceOffset, length: plan.length }
    : { region: plan.targetRegion, offset: plan.targetOffset, length: plan.length }
}

function right(agent: LoadAgent, checked: Checked): Checked {
  if (checked.wrong !== undefined) throw new WrongBytes(agent.dealt.name, checked.wrong)
  return checked
}
