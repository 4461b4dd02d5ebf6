import { fillingsMax } from "../content.ts"
import type { SimProcess } from "../process.ts"
import type { World } from "../world.ts"

/** How long after its deadline something may end: fabrics take a while to stop. Milliseconds. */
const graceMillis = 10

/** What all work of a schedule shares: whose bytes are whose, what is under way, and how it ended. */
export class Ledger {
  readonly world: World
  readonly ends = new Map<string, number>()
  /** Every ticket that has ended, with its process: no two have one name. */
  readonly tickets = new Set<string>()
  #open = 0
  #fillings = 0
  readonly #owners: string[] = ["nobody"]

  constructor(world: World) {
    this.world = world
  }

  /** Requests that have begun and not ended, on processes that live. */
  get open(): number {
    return this.#open
  }

  /** A fresh name for the bytes that `owner` writes. */
  newFilling(owner: string): number {
    this.#fillings += 1
    if (this.#fillings >= fillingsMax) throw new Error("a schedule makes fewer fillings than a word can name")
    this.#owners.push(owner)
    return this.#fillings
  }

  /** Who wrote bytes of a filling; undefined for words that nobody wrote. */
  ownerOf(filling: number): string | undefined {
    return filling > 0 && filling <= this.#fillings ? this.#owners[filling] : undefined
  }

  /**
   * Runs a request in a process that lives. `onEnd` is told how it ended, once, also when the process dies over it.
   * What the request throws is a mistake, and so is what it leaves undone.
   */
  enter(process: SimProcess, name: string, run: () => Promise<string>, onEnd: (how: string) => void): void {
    this.#open += 1
    let over = false
    const leave = (how: string): void => {
      if (over) return
      over = true
      this.#open -= 1
      this.ends.set(how, (this.ends.get(how) ?? 0) + 1)
      this.world.note(process.name, `${name} ends: ${how}`)
      onEnd(how)
    }
    process.onDeath(() => leave("its process died"))
    run().then(leave, (thrown: unknown) => {
      const what = thrown instanceof Error ? thrown.stack : String(thrown)
      this.world.broken("alive", process.name, `${name}: ${what}`)
      leave("a mistake")
    })
  }

  /** Says so when something has not ended in its time. A paused process is given the time that it was paused. */
  patience(process: SimProcess, millis: number, what: string): () => void {
    const since = this.world.now
    let over = false
    const look = (wait: number, pausedBefore: number): void => {
      this.world.timeline.after(wait, () => {
        if (over || process.state === "dead") return
        const more = process.pausedMillis - pausedBefore
        if (process.state === "paused" || more > 0) return look(more + graceMillis, process.pausedMillis)
        const lasted = Math.round(this.world.now - since)
        this.world.broken("P2", process.name, `${what} has not ended after ${lasted} ms of ${millis}`)
      })
    }
    look(millis + graceMillis, process.pausedMillis)
    return () => {
      over = true
    }
  }

  /** Waits, as code of this process would. */
  sleep(process: SimProcess, millis: number): Promise<void> {
    return new Promise((resolve) => process.later(millis, resolve))
  }
}
