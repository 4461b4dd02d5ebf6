import { startThread } from "../os/worker-thread.ts"
import type { CoverageCounts } from "./coverage.ts"
import { Coverage } from "./coverage.ts"
import type { Violation } from "./promise-broken.ts"
import type { ScheduleOptions } from "./schedule-terms.ts"

/** What every schedule of a run has in common. */
export type JobSettings = Omit<ScheduleOptions, "seed">

/** Seeds `first` to `first + count - 1`. */
export interface SeedRange {
  readonly first: number
  readonly count: number
}

/** What came of a range of seeds; plain data, to cross threads. */
export interface JobResult extends SeedRange {
  readonly actions: number
  readonly virtualMillis: number
  readonly ends: Readonly<Record<string, number>>
  readonly failures: readonly { readonly seed: number; readonly violations: readonly Violation[] }[]
  readonly coverage: CoverageCounts
}

/** All results of a run, added up. */
export class Totals {
  schedules = 0
  actions = 0
  virtualMillis = 0
  readonly ends = new Map<string, number>()
  readonly failures: JobResult["failures"][number][] = []
  readonly coverage = new Coverage()

  add(result: JobResult): void {
    this.schedules += result.count
    this.actions += result.actions
    this.virtualMillis += result.virtualMillis
    for (const [how, times] of Object.entries(result.ends))
      this.ends.set(how, (this.ends.get(how) ?? 0) + times)
    this.failures.push(...result.failures)
    this.coverage.add(result.coverage)
  }
}

/** Schedules that are dealt at a time, and failing ones after which a run has seen enough. */
const deal = { schedules: 25, failuresMost: 10 } as const

/**
 * Plays a range of seeds on some threads. `onProgress` hears after each deal; the totals are whole at the end.
 *
 * After `stop` what was dealt is played to its end, and no more.
 */
export async function runCampaign(
  { first, count }: SeedRange,
  jobs: number,
  settings: JobSettings,
  onProgress: (totals: Totals) => void,
  stop?: AbortSignal,
): Promise<Totals> {
  const totals = new Totals()
  let next = first
  const threads = Array.from({ length: jobs }, () => {
    const worker = startThread(new URL("./job.js", import.meta.url), settings)
    return new Promise<void>((resolve, reject) => {
      const dealOne = (): void => {
        const left = first + count - next
        if (left <= 0 || totals.failures.length >= deal.failuresMost || stop?.aborted === true) {
          void worker.terminate()
          return resolve()
        }
        const range = { first: next, count: Math.min(deal.schedules, left) }
        next += range.count
        worker.postMessage(range)
      }
      worker.on("message", (result: JobResult) => {
        totals.add(result)
        onProgress(totals)
        dealOne()
      })
      worker.on("error", reject)
      dealOne()
    })
  })
  await Promise.all(threads)
  return totals
}
