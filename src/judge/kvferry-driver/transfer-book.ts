import { setTimeout as sleep } from "node:timers/promises"
import { KvError } from "../../errors/kv-error.ts"
import type { Answers, Questions } from "../driver/protocol.ts"
import type { PreparedTransfer, RunningTransfer, TransferEnd } from "./driven-agent.ts"
import { known, usage } from "./engine-words.ts"

interface Entry {
  readonly prepared: PreparedTransfer
  running?: RunningTransfer
  end?: TransferEnd
}

/** Time for one round of a measurement. */
const roundMillis = 60_000
const roundsMax = 1_000_000

/** The transfers of a driver, by the judge's numbers. */
export class TransferBook {
  readonly #entries = new Map<number, Entry>()

  /** @throws KvError KV_USAGE for a number that is taken; what preparing throws. */
  async add(transfer: number, prepare: () => Promise<PreparedTransfer>): Promise<void> {
    if (this.#entries.has(transfer)) throw usage(`there is a transfer ${transfer} already`)
    this.#entries.set(transfer, { prepared: await prepare() })
  }

  /** Posts all of them in one turn. */
  post(transfers: readonly number[], timeoutMillis: number): void {
    for (const entry of transfers.map((transfer) => this.#entry(transfer))) {
      const running = entry.prepared.post(timeoutMillis)
      entry.running = running
      delete entry.end
      void running.ended.then((end) => {
        // One that was posted again meanwhile ends with its last post.
        if (entry.running === running) entry.end = end
      })
    }
  }

  async wait({ transfer, millis }: Questions["wait"]): Promise<Answers["wait"]> {
    const entry = this.#entry(transfer)
    if (entry.running === undefined) throw usage(`transfer ${transfer} was never posted`)
    if (entry.end !== undefined) return entry.end
    const given = new AbortController()
    const patience = sleep(millis, undefined, { signal: given.signal }).catch(() => undefined)
    const end = await Promise.race([entry.running.ended, patience])
    given.abort()
    return end ?? { state: "pending" }
  }

  cancel(transfer: number): void {
    this.#entry(transfer).running?.cancel()
  }

  async release(transfer: number): Promise<void> {
    const entry = this.#entry(transfer)
    if (entry.running !== undefined && entry.end === undefined) {
      throw usage(`transfer ${transfer} has not ended`)
    }
    this.#entries.delete(transfer)
    await entry.prepared.release()
  }

  /** Posts each and waits for all, round by round. There is one thread that posts: all go out in one turn. */
  async measure({
    transfers,
    rounds,
    millis,
    pauseMicros,
  }: Questions["measure"]): Promise<Answers["measure"]> {
    const prepared = transfers.map((transfer) => this.#entry(transfer).prepared)
    const micros: number[] = []
    const before = process.cpuUsage()
    const until = performance.now() + millis
    for (let round = 0; round < (rounds || roundsMax) && (rounds > 0 || performance.now() < until); round++) {
      if (pauseMicros > 0) await sleep(pauseMicros / 1000)
      const started = performance.now()
      const ends = await Promise.all(prepared.map((one) => one.post(roundMillis).ended))
      micros.push((performance.now() - started) * 1000)
      const bad = ends.find(({ state }) => state !== "done")
      if (bad !== undefined) throw failedRound(round, bad)
    }
    const { user, system } = process.cpuUsage(before)
    return { micros, cpuMicros: user + system }
  }

  #entry(transfer: number): Entry {
    return known(this.#entries, transfer, "transfer")
  }
}

function failedRound(round: number, { state, error }: TransferEnd): KvError {
  return new KvError("KV_INTERNAL", {
    what: `a transfer of round ${round} ended ${state}`,
    ...(error === undefined ? {} : { why: `${error.code}: ${error.text}` }),
  })
}
