import { busyMicros, processMicros } from "./machine.ts"

/** What everybody but the benchmark has used of all cores. */
export interface Usage {
  readonly atMicros: number
  readonly othersMicros: number
}

/** Watches the processes of the benchmark, so that what is left of the machine's work is others'. */
export class Others {
  readonly #pids = new Set<number>([process.pid])
  /** What processes had used that have ended. */
  #ended = 0

  add(...pids: readonly number[]): void {
    for (const pid of pids) this.#pids.add(pid)
  }

  /** To be called while they still are there: what they used is read one last time. */
  remove(...pids: readonly number[]): void {
    for (const pid of pids) {
      if (this.#pids.delete(pid)) this.#ended += processMicros(pid)
    }
  }

  now(): Usage {
    let ours = this.#ended
    for (const pid of this.#pids) ours += processMicros(pid)
    return { atMicros: performance.now() * 1000, othersMicros: busyMicros() - ours }
  }
}
