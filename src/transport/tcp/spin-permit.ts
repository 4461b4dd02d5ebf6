import { availableParallelism } from "node:os"

/** Threads of one process that may spin at once: one core always stays free for whoever they wait for. */
export const spinnersMax = availableParallelism() - 1

/** The right to look again and again in place of sleeping. At most `spinnersMax` threads of a process have it. */
export class SpinPermit {
  readonly #spinners: Int32Array
  readonly #budgetMillis: number
  #until = 0
  #held = false

  /** @param shared one Int32 that all threads of the process share: how many spin just now. */
  constructor(shared: SharedArrayBuffer, budgetMicros: number) {
    this.#spinners = new Int32Array(shared)
    this.#budgetMillis = budgetMicros / 1000
  }

  /** False when this thread never spins. */
  get wanted(): boolean {
    return this.#budgetMillis > 0 && spinnersMax > 0
  }

  /** Something has happened at `nowMillis`: more of it may follow soon. */
  renew(nowMillis: number): void {
    this.#until = nowMillis + this.#budgetMillis
  }

  /** True while the holder should look again at once; when false, it parks. */
  lasts(nowMillis: number): boolean {
    if (nowMillis < this.#until && (this.#held || this.#take())) return true
    this.giveBack()
    return false
  }

  giveBack(): void {
    if (!this.#held) return
    this.#held = false
    Atomics.sub(this.#spinners, 0, 1)
  }

  #take(): boolean {
    if (Atomics.add(this.#spinners, 0, 1) < spinnersMax) this.#held = true
    else Atomics.sub(this.#spinners, 0, 1)
    return this.#held
  }
}
