import { KvError } from "../../errors/kv-error.ts"

/** The two kinds of worker. */
export type WorkerRole = "prefill" | "decode"

/** A worker as the frontend knows it: where it answers, and for how long it is passed over. */
export interface Worker {
  readonly role: WorkerRole
  /** Base URL without a slash at its end. */
  readonly url: string
}

/** First pause after a failure, doubled by each further one. */
const PAUSE_FIRST_MILLIS = 500
const PAUSE_LAST_MILLIS = 15_000

/**
 * Deals requests over the workers of one role in turn and passes over those that failed lately.
 *
 * Passing over is advice, never a refusal: when all of them failed lately, the one whose pause ends first is asked.
 */
export class WorkerPool {
  readonly workers: readonly Worker[]
  readonly #states: readonly { failures: number; pausedUntilMillis: number }[]
  readonly #now: () => number
  #next = 0

  constructor(role: WorkerRole, urls: readonly string[], now: () => number = () => performance.now()) {
    if (urls.length === 0) {
      throw new KvError("KV_USAGE", {
        what: `a frontend needs at least one ${role} worker and got none`,
        next: `name the base URL of a ${role} worker, such as http://127.0.0.1:9001`,
      })
    }
    this.workers = urls.map((url) => ({ role, url: workerUrl(role, url) }))
    this.#states = urls.map(() => ({ failures: 0, pausedUntilMillis: 0 }))
    this.#now = now
  }

  /** The worker whose turn it is, other than `except`; undefined when there is no other. */
  pick(except?: Worker): Worker | undefined {
    const now = this.#now()
    const turns = this.workers.map((_, step) => (this.#next + step) % this.workers.length)
    const candidates = turns.filter((index) => this.workers[index] !== except)
    const ready = candidates.find((index) => this.#states[index]!.pausedUntilMillis <= now)
    const chosen = ready ?? this.#soonestReady(candidates)
    if (chosen === undefined) return undefined
    this.#next = (chosen + 1) % this.workers.length
    return this.workers[chosen]
  }

  /** The worker answered: it is in turn again. */
  succeeded(worker: Worker): void {
    const state = this.#stateOf(worker)
    state.failures = 0
    state.pausedUntilMillis = 0
  }

  /** The worker could not be reached or broke off: others are asked first for a while. */
  failed(worker: Worker): void {
    const state = this.#stateOf(worker)
    const pauseMillis = Math.min(PAUSE_FIRST_MILLIS * 2 ** state.failures, PAUSE_LAST_MILLIS)
    state.failures += 1
    state.pausedUntilMillis = this.#now() + pauseMillis
  }

  #soonestReady(candidates: readonly number[]): number | undefined {
    return candidates.toSorted(
      (a, b) => this.#states[a]!.pausedUntilMillis - this.#states[b]!.pausedUntilMillis,
    )[0]
  }

  #stateOf(worker: Worker): { failures: number; pausedUntilMillis: number } {
    return this.#states[this.workers.indexOf(worker)]!
  }
}

function workerUrl(role: WorkerRole, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const plain = url !== undefined && url.username === "" && url.search === "" && url.hash === ""
  if (plain && (url.protocol === "http:" || url.protocol === "https:")) return url.href.replace(/\/+$/, "")
  throw new KvError("KV_USAGE", {
    what: `${JSON.stringify(text)} is not the base URL of a ${role} worker`,
    next: "give it as http://host:port, without credentials, query or fragment",
  })
}
