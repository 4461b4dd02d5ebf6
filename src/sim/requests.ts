import { KvError } from "../errors/kv-error.ts"
import { Ledger } from "./work/ledger.ts"
import type { Lent } from "./work/lent.ts"
import { Notes } from "./work/notes.ts"
import { lend } from "./work/owner.ts"
import { attach, type Errand, pull, readPrepared, refusable } from "./work/reading.ts"
import type { RequestTraits } from "./work/traits.ts"
import { commonHeads } from "./work/verdict.ts"
import { push } from "./work/writing.ts"
import type { World } from "./world.ts"

/** Notes that one request sends. */
const notesEach = 3

/** Runs requests from loan to verdict, and holds each against the promises. */
export class Requests {
  readonly ledger: Ledger
  readonly notes: Notes

  constructor(world: World) {
    this.ledger = new Ledger(world)
    this.notes = new Notes(world)
  }

  /** Begins one. `onEnd` is told how it ended. */
  begin(number: number, traits: RequestTraits, onEnd: (how: string) => void = () => {}): void {
    const name = `r${number}`
    const owner = traits.owner.life
    if (owner === undefined) return onEnd("no owner")
    owner.process.deliver(() => {
      const lent = lend(this.ledger, name, owner, traits)
      if (lent === undefined) return onEnd("no blocks at the owner")
      this.ledger.world.timeline.after(traits.carryMillis, () => this.#carry(lent, traits, onEnd))
    })
  }

  #carry(lent: Lent, traits: RequestTraits, onEnd: (how: string) => void): void {
    const life = traits.holder.life
    if (life === undefined) return onEnd("no holder")
    life.process.deliver(() => {
      this.ledger.enter(life.process, lent.name, () => this.#run(lent, traits, life), onEnd)
    })
  }

  async #run(lent: Lent, traits: RequestTraits, life: Errand["life"]): Promise<string> {
    const { owner, holder, timeoutMillis, kind } = traits
    const { process, agent } = life
    const connected = this.ledger.patience(process, timeoutMillis, `the connect of ${lent.name}`)
    const peer = await refusable(() => agent.connect(owner.address, timeoutMillis))
    connected()
    if (peer instanceof KvError) return `connect: ${peer.code}`
    if (commonHeads(owner.traits.layout, holder.traits.layout) === undefined)
      this.ledger.world.broken("P5", process.name, `connected to ${owner.traits.name} without a common head`)
    const errand: Errand = { ledger: this.ledger, life, lent, traits, peer }
    switch (kind) {
      case "pull":
      case "push": {
        const how = await (kind === "pull" ? pull(errand) : push(errand))
        if (how.endsWith("delivered")) this.notes.mustHaveHeard(process.name, lent.name)
        return how
      }
      case "twice":
        return (await Promise.all([pull(errand), pull(errand)])).join(" and ")
      case "push twice":
        return (await Promise.all([push(errand), push(errand)])).join(" and ")
      case "prepared":
        return readPrepared(errand)
      case "attach":
        return attach(errand)
      case "notify":
        return this.notes.send(life, peer, notesEach)
    }
  }
}
