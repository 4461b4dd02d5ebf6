import type { WorkerHealth } from "../protocol.ts"
import type { WorkerClient } from "./worker-client.ts"
import type { Worker, WorkerPool, WorkerRole } from "./worker-pool.ts"

/** What is known of one worker. */
export interface WorkerState {
  readonly role: WorkerRole
  readonly url: string
  readonly status: "ok" | "down"
  readonly pid?: number
  readonly agentId?: string
  readonly bootId?: string
  readonly fingerprint?: string
  readonly pool?: { readonly blocks: number; readonly free: number }
  /** Why it is down. */
  readonly why?: string
}

/** An answer is good for this long: asking us often does not make us ask the workers often. */
const FRESH_MILLIS = 250

/** Asks all workers how they are, at most a few times a second. */
export class HealthCheck {
  readonly #pools: readonly WorkerPool[]
  readonly #client: WorkerClient
  #asked: { readonly atMillis: number; readonly states: Promise<readonly WorkerState[]> } | undefined

  constructor(pools: readonly WorkerPool[], client: WorkerClient) {
    this.#pools = pools
    this.#client = client
  }

  /** The state of every worker, prefill workers first. */
  states(): Promise<readonly WorkerState[]> {
    const now = performance.now()
    if (this.#asked === undefined || now - this.#asked.atMillis > FRESH_MILLIS) {
      const asks = this.#pools.flatMap((pool) => pool.workers.map((worker) => this.#ask(pool, worker)))
      this.#asked = { atMillis: now, states: Promise.all(asks) }
    }
    return this.#asked.states
  }

  async #ask(pool: WorkerPool, worker: Worker): Promise<WorkerState> {
    const { role, url } = worker
    try {
      const health = await this.#client.health(worker)
      if (health.role !== role) return { role, url, status: "down", why: `it is a ${health.role} worker` }
      pool.succeeded(worker)
      return { role, url, status: "ok", ...known(health) }
    } catch (thrown) {
      pool.failed(worker)
      return { role, url, status: "down", why: thrown instanceof Error ? thrown.message : String(thrown) }
    }
  }
}

function known({ pid, agentId, bootId, model, pool }: WorkerHealth): Partial<WorkerState> {
  const { blocks, free } = pool
  return { pid, agentId, bootId, fingerprint: model.fingerprint, pool: { blocks, free } }
}
