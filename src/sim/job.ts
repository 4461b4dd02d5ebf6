import { parentPort, workerData } from "node:worker_threads"
import type { JobResult, JobSettings, SeedRange } from "./campaign.ts"
import { Coverage } from "./coverage.ts"
import { playSchedule } from "./schedule.ts"

/** Plays ranges of seeds in a thread of its own, as they are dealt to it. */
const port = parentPort!
const settings = workerData as JobSettings

port.on("message", ({ first, count }: SeedRange) => {
  play(first, count).then((result) => port.postMessage(result))
})

async function play(first: number, count: number): Promise<JobResult> {
  const coverage = new Coverage()
  const ends: Record<string, number> = {}
  const failures: JobResult["failures"][number][] = []
  let actions = 0
  let virtualMillis = 0
  for (let seed = first; seed < first + count; seed++) {
    const result = await playSchedule({ seed, ...settings })
    coverage.add(result.coverage)
    actions += result.actions
    virtualMillis += result.virtualMillis
    for (const [how, times] of result.ends) ends[how] = (ends[how] ?? 0) + times
    if (result.violations.length > 0) failures.push({ seed, violations: result.violations })
  }
  return { first, count, actions, virtualMillis, ends, failures, coverage: coverage.counts }
}
