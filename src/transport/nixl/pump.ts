/** How the last look at the work went. */
export type PumpState = "moved" | "waiting" | "idle"

/** After something has moved, NIXL is asked again and again for so long; then it is asked now and then. */
const spinMillis = 20
/** How often NIXL is asked while nothing moves. */
const pauseMillis = 1

/**
 * Drives NIXL on from an event loop, between the loop's own events.
 *
 * NIXL has no way to wait for it. So it is asked without a pause while bytes move, once a millisecond while a transfer
 * stands still, and not at all without work.
 */
export class Pump {
  readonly #step: () => PumpState
  #scheduled: "now" | "later" | undefined
  #timer: NodeJS.Timeout | undefined
  #movedAt = 0

  constructor(step: () => PumpState) {
    this.#step = step
  }

  /** There is something to do, or something has moved on the other side. */
  wake(): void {
    this.#movedAt = performance.now()
    this.#now()
  }

  #now(): void {
    if (this.#scheduled === "now") return
    clearTimeout(this.#timer)
    this.#scheduled = "now"
    setImmediate(() => this.#turn())
  }

  #turn(): void {
    this.#scheduled = undefined
    const state = this.#step()
    const now = performance.now()
    if (state === "moved") this.#movedAt = now
    if (state === "idle" || this.#scheduled !== undefined) return
    if (now - this.#movedAt < spinMillis) return this.#now()
    this.#scheduled = "later"
    this.#timer = setTimeout(() => {
      this.#scheduled = "now"
      this.#turn()
    }, pauseMillis)
  }
}
