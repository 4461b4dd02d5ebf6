import { Journal } from "./journal.ts"
import type { Promised, Violation } from "./promise-broken.ts"
import { Random } from "./random.ts"
import { Timeline } from "./timeline.ts"

/** Violations that are kept: the first ones tell what happened, a flood of them does not. */
const violationsMax = 20

/** What everything in one schedule shares: the time, the seed's numbers, and the record of what happened. */
export class World {
  readonly timeline = new Timeline()
  readonly journal = new Journal(() => this.timeline.now)
  readonly violations: Violation[] = []
  /** One source for each concern: a change of one leaves the draws of the others alone. */
  readonly random: {
    readonly shape: Random
    readonly workload: Random
    readonly faults: Random
    readonly network: Random
    readonly fabric: Random
    readonly crypto: Random
    readonly strangers: Random
  }

  constructor(seed: number) {
    const root = new Random(seed)
    this.random = {
      shape: root.fork(),
      workload: root.fork(),
      faults: root.fork(),
      network: root.fork(),
      fabric: root.fork(),
      crypto: root.fork(),
      strangers: root.fork(),
    }
  }

  get now(): number {
    return this.timeline.now
  }

  note(who: string, what: string): void {
    this.journal.note(who, what)
  }

  /** Records that a promise did not hold. The schedule goes on: what follows may explain it. */
  broken(promise: Promised, who: string, what: string): void {
    this.note(who, `BROKEN ${promise}: ${what}`)
    if (this.violations.length < violationsMax) this.violations.push({ promise, who, what })
  }
}
