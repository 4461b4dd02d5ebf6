import { parseArgs } from "node:util"
import { progressOn } from "../terminal/progress.ts"
import { type JobSettings, runCampaign, type Totals } from "./campaign.ts"
import { neverTaken } from "./coverage.ts"
import { coverageLines } from "./coverage-table.ts"
import { convict } from "./mutants.ts"
import { mutations } from "./mutations.ts"
import { violationText } from "./promise-broken.ts"
import { playSchedule } from "./schedule.ts"

/** A run of fewer schedules says nothing about what was never reached. */
const schedulesForCoverage = 2000
/** Schedules in which every breakage must be noticed. */
const schedulesForMutation = 1500
/** Lines of a failing journal that are shown; a replay shows them all. */
const journalLinesMost = 200

const usage = `Usage: npm run sim -- [--schedules N] [--seed S] [--jobs J] [--mutations]

  --schedules N  how many seeds, from S on (default 1000; 1 prints the journal)
  --seed S       the first seed (default: a fresh one)
  --jobs J       threads (default 1)
  --mutations    break the agents and fabrics on purpose, one way at a time: each must be convicted
`

const { values } = parseArgs({
  options: {
    schedules: { type: "string", default: "1000" },
    seed: { type: "string" },
    jobs: { type: "string", default: "1" },
    mutations: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
})

const say = (text: string): void => void process.stdout.write(`${text}\n`)

if (values.help) process.stdout.write(usage)
else {
  const schedules = whole("schedules", values.schedules)
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 40) : whole("seed", values.seed)
  if (values.mutations) process.exitCode = await convictAll(seed)
  else if (schedules === 1) process.exitCode = await replay(seed)
  else process.exitCode = await run(seed, schedules, whole("jobs", values.jobs), {})
}

function whole(name: string, text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value
  process.stderr.write(`--${name} is a whole number, not "${text}"\n\n${usage}`)
  process.exit(2)
}

/** One seed, with all that happened. */
async function replay(seed: number): Promise<number> {
  const { journal, violations, hash, virtualMillis, actions } = await playSchedule({ seed })
  say(journal.join("\n"))
  say(`\nseed ${seed}: ${actions} actions in ${Math.round(virtualMillis)} virtual ms, journal ${hash}`)
  for (const violation of violations) say(violationText(violation))
  return violations.length === 0 ? 0 : 1
}

async function run(first: number, count: number, jobs: number, settings: JobSettings): Promise<number> {
  const progress = progressOn(process.stderr)
  const began = performance.now()
  const onProgress = ({ schedules, failures }: Totals): void => {
    const perMinute = Math.round((schedules / (performance.now() - began)) * 60_000)
    progress.update(
      `${schedules} of ${count}, ${failures.length} failed, ${perMinute} a minute`,
      schedules / count,
    )
  }
  // Ctrl-C ends a long run with what it has: the second one ends it at once.
  const stop = new AbortController()
  process.once("SIGINT", () => stop.abort())
  const totals = await runCampaign({ first, count }, jobs, settings, onProgress, stop.signal)
  progress.end()
  tell(first, totals, performance.now() - began)
  const good = covered(totals)
  for (const { seed, violations } of totals.failures) {
    say(`\nseed ${seed} broke a promise:`)
    for (const violation of violations.slice(0, 5)) say(`  ${violationText(violation)}`)
    say(`  replay: npm run sim -- --seed ${seed} --schedules 1`)
  }
  const failed = totals.failures[0]
  if (failed !== undefined) {
    const { journal } = await playSchedule({ seed: failed.seed, ...settings })
    const more = journal.length - journalLinesMost
    say(`\njournal of seed ${failed.seed}${more > 0 ? `, without its first ${more} lines` : ""}:`)
    say(journal.slice(-journalLinesMost).join("\n"))
  }
  return good && failed === undefined ? 0 : 1
}

/** Breaks everything, one way at a time. */
async function convictAll(first: number): Promise<number> {
  let missed = 0
  for (const mutation of mutations) {
    const found = await convict(mutation, { first, count: schedulesForMutation })
    if (found === undefined) missed += 1
    const how =
      found === undefined
        ? `NOT NOTICED in ${schedulesForMutation} schedules from seed ${first}`
        : `schedule ${found.seed - first + 1}: ${found.text.slice(0, 100)}`
    say(`${mutation.name}\n    ${how}`)
  }
  say(`\n${mutations.length - missed} of ${mutations.length} breakages were convicted`)
  return missed === 0 ? 0 : 1
}

function tell(first: number, totals: Totals, millis: number): void {
  const { schedules, actions, virtualMillis, ends, coverage } = totals
  say(coverageLines(coverage.counts).join("\n"))
  say("\nhow requests ended:")
  const often = [...ends].sort(([, a], [, b]) => b - a)
  for (const [how, times] of often.slice(0, 30)) say(`  ${String(times).padStart(9)}  ${how}`)
  if (often.length > 30) say(`  and ${often.length - 30} other ways`)
  const perMinute = Math.round((schedules / millis) * 60_000)
  say(
    `\n${schedules} schedules from seed ${first}, ${actions} actions, ${Math.round(virtualMillis / 1000)} virtual seconds ` +
      `in ${Math.round(millis / 1000)} s: ${perMinute} schedules a minute`,
  )
}

/** Every transition was taken, and none that cannot be. */
function covered({ coverage, schedules, failures }: Totals): boolean {
  for (const name of coverage.surprising)
    say(`taken, though it cannot be: ${name} (${neverTaken[name]}): mend src/sim/coverage.ts`)
  const { missing } = coverage
  if (missing.length > 0) say(`never taken: ${missing.join(", ")}`)
  if (schedules < schedulesForCoverage || failures.length > 0) return coverage.surprising.length === 0
  return missing.length === 0 && coverage.surprising.length === 0
}
