import type { Clock } from "../agent/control-network.ts"
import type { World } from "./world.ts"

export type ProcessState = "running" | "paused" | "dead"

interface Input {
  readonly action: () => void
  readonly timer: boolean
}

/** Inputs that may wait for a paused process. A real kernel bounds them too. */
const inboxMax = 100_000

/**
 * One life of a simulated process: everything that reaches its code comes through `deliver`.
 *
 * A paused process (SIGSTOP) gets its inputs when it goes on; a dead one gets none, so its code stands still for ever.
 */
export class SimProcess {
  /** Its slot and which life of it this is: `b.2`. */
  readonly name: string
  /** What stays the same when it is started again. */
  readonly slot: string
  readonly host: string
  readonly world: World
  readonly clock: Clock
  #state: ProcessState = "running"
  #inbox: Input[] = []
  #timers = 0
  #timersPeak = 0
  #pausedMillis = 0
  #pausedAt = 0
  readonly #onDeath: (() => void)[] = []

  /** @param options `skewMillis` is what its monotonic clock shows at the beginning: no two machines agree. */
  constructor(
    world: World,
    options: {
      readonly slot: string
      readonly life: number
      readonly host: string
      readonly skewMillis: number
    },
  ) {
    const { skewMillis } = options
    this.world = world
    this.slot = options.slot
    this.name = `${options.slot}.${options.life}`
    this.host = options.host
    this.clock = {
      now: () => skewMillis + world.now,
      wallMillis: () => 1_800_000_000_000 + world.now,
      after: (millis, action) => this.#after(millis, action),
    }
  }

  get state(): ProcessState {
    return this.#state
  }

  /** Timers that its code has set and that have neither run nor been cancelled. */
  get timers(): number {
    return this.#timers
  }

  get timersPeak(): number {
    return this.#timersPeak
  }

  /** How long it has been paused until now, all pauses together. */
  get pausedMillis(): number {
    return this.#pausedMillis + (this.#state === "paused" ? this.world.now - this.#pausedAt : 0)
  }

  /** Gives an input to the code of this process: now, when it goes on, or never. */
  deliver(action: () => void, timer = false): void {
    if (this.#state === "running") this.#run(action)
    else if (this.#state === "paused") {
      if (this.#inbox.length < inboxMax) this.#inbox.push({ action, timer })
      else this.world.broken("P8", this.name, `${inboxMax} inputs wait for a paused process`)
    }
  }

  /** Gives an input after `millis`. */
  later(millis: number, action: () => void, timer = false): void {
    this.world.timeline.after(millis, () => this.deliver(action, timer))
  }

  pause(): void {
    if (this.#state !== "running") return
    this.#state = "paused"
    this.#pausedAt = this.world.now
    this.world.note(this.name, "is paused")
  }

  /**
   * Goes on; what waited is given one by one, as other inputs would be. An event loop that wakes looks at its timers
   * and its sockets in an order of its own: either of the two may come first.
   */
  resume(): void {
    if (this.#state !== "paused") return
    this.#pausedMillis += this.world.now - this.#pausedAt
    this.#state = "running"
    this.world.note(this.name, "goes on")
    const timersFirst = this.world.random.faults.chance(0.5)
    const waiting = this.#inbox.toSorted((a, b) =>
      a.timer === b.timer ? 0 : a.timer === timersFirst ? -1 : 1,
    )
    this.#inbox = []
    for (const { action, timer } of waiting) this.later(0, action, timer)
  }

  /** Ends it at once, between two instructions: nothing of it runs any more. */
  die(): void {
    if (this.#state === "dead") return
    this.#state = "dead"
    this.#inbox = []
    this.world.note(this.name, "dies")
    for (const action of this.#onDeath.splice(0)) action()
  }

  /** What the world does when this process dies: the kernel's part. */
  onDeath(action: () => void): void {
    this.#onDeath.push(action)
  }

  #run(action: () => void): void {
    try {
      action()
    } catch (thrown) {
      // An exception that nobody catches ends a real process.
      this.world.broken(
        "alive",
        this.name,
        `uncaught: ${thrown instanceof Error ? thrown.stack : String(thrown)}`,
      )
      this.die()
    }
  }

  #after(millis: number, action: () => void): () => void {
    let waiting = true
    this.#timers += 1
    this.#timersPeak = Math.max(this.#timersPeak, this.#timers)
    const end = (): boolean => {
      if (!waiting) return false
      waiting = false
      this.#timers -= 1
      return true
    }
    const cancel = this.world.timeline.after(millis, () =>
      this.deliver(() => {
        if (end()) action()
      }, true),
    )
    return () => {
      if (end()) cancel()
    }
  }
}
