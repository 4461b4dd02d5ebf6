/**
 * `npm run mutants`: breaks copies of our own engine, one mistake at a time, and looks whether the general suites notice.
 *
 * `npm run mutants -- --help` tells how. docs/mutants.md has the table of a run.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { checkPatches, readMutants } from "./mutant-patches.mjs"
import { Expectation, isTerminal, LiveLine, liveText, startText } from "./mutant-progress.mjs"
import { contractTransports, enginesHere, firstFailure, suiteNames } from "./mutant-suites.mjs"
import { Workshop } from "./mutant-workshop.mjs"
import { root, setUp } from "./setup.mjs"

const help = `npm run mutants -- [options]

  --only NN,MM       only these mutants, by their numbers or a part of their names
  --patch FILE       a mutant of yours (a unified diff of src/) in place of the listed ones; may be given several times
  --engines A,B      engines of \`kvferry verify\` (default: every kvferry path that runs here, as far as a mutant touches it)
  --all-engines      do not leave out engines that a mutant cannot touch
  --cases PATTERN    only these cases of \`kvferry verify\`
  --suites A,B       ${suiteNames.join(", ")} (default: all, in this order)
  --jobs N           mutants at the same time (default: half of the processors, at least 1)
  --markdown FILE    writes the table there too
  --check            only looks whether every patch still applies
  --no-control       leaves out the run without a mutant
  --afresh           asks every suite in its order, and not first what killed a mutant the last time (mutants/killers.json)
  --record           remembers what killed each of them now, for that

Exit code: 0 all were killed, 1 one survives, 2 wrong usage, 3 a patch that does not apply or compile, or the unbroken engine fails.
`

const usage = (text) => {
  process.stderr.write(`mutants: ${text}\n`)
  process.exit(2)
}

const unreached = "no suite reaches its files without a device; the lab does: npm run lab"
const options = readOptions()
const mutants = readMutants(options)
if (mutants.length === 0) usage("no mutant has such a number or name; see mutants/")
const unfit = checkPatches(mutants)
for (const { name, why } of unfit) process.stderr.write(`mutants: ${name} does not apply: ${why}\n`)
if (unfit.length > 0) process.exit(3)
if (options.check) {
  process.stderr.write(`mutants: all ${mutants.length} patches apply\n`)
  process.exit(0)
}

await setUp()
const started = Date.now()
const engines = options.engines ?? enginesHere()
const killersFile = join(root, "mutants", "killers.json")
const killers = JSON.parse(readFileSync(killersFile, "utf8"))
const workshop = new Workshop(options.jobs)
const results = []
const size = { mutants: mutants.length, jobs: options.jobs, control: options.control }
const killerOf = ({ name, own }) => {
  const killer = options.afresh || own || options.cases !== undefined ? undefined : killers[name]
  return options.suites.includes(killer?.suite) ? killer : undefined
}
const expectation = new Expectation({
  ...size,
  known: mutants.filter((mutant) => killerOf(mutant) !== undefined).length,
  engines: engines.length,
  suites: options.suites,
  cases: options.cases,
})
let controlSince
const live = new LiveLine(process.stderr, () => {
  const busy = workshop.benches.filter(({ mutant }) => mutant !== undefined)
  const now = (since) => (Date.now() - since) / 1000
  return liveText({
    done: results.length,
    total: mutants.length,
    elapsed: now(started),
    left: expectation.left({
      running: busy.filter(({ mutant }) => mutant !== "control").map(({ since }) => now(since)),
      controlFor: controlSince === undefined ? 0 : now(controlSince),
    }),
    benches: busy.map(({ mutant, where, whereSince }) => ({ mutant, where, seconds: now(whereSince) })),
  })
})
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    live.end()
    workshop.close()
    report(true)
    process.exit(130)
  })
}
if (!isTerminal(process.stderr)) process.stderr.write(`mutants: ${startText(size, expectation)}\n`)
try {
  await workshop.build()
  if (options.control) await control()
  const queue = [...mutants]
  await Promise.all(
    workshop.benches.map(async (bench) => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift())
        await judge(bench, mutant)
    }),
  )
} finally {
  live.end()
  workshop.close()
}
process.exitCode = report(false)

/** The engine as it is must pass all that its mutants are judged by, on every bench at the same time. */
async function control() {
  controlSince = Date.now()
  const failures = await Promise.all(
    workshop.benches.map(async (bench) => {
      bench.begin("control")
      const failure = await firstFailure(bench, { engines, suites: options.suites, cases: options.cases })
      bench.end()
      return failure
    }),
  )
  const failed = failures.find((failure) => failure !== undefined)
  if (failed === undefined) {
    expectation.controlTook((Date.now() - controlSince) / 1000)
    live.say(`mutants: the unbroken engine passes (${seconds(started)})`)
    return
  }
  live.end()
  process.stderr.write(
    `mutants: the unbroken engine fails at ${failed.by}: nothing can be said of its mutants\n`,
  )
  if (failed.text !== "") process.stderr.write(`${failed.text}\n`)
  workshop.close()
  process.exit(3)
}

/** What no suite of any machine without a NIC runs says nothing of a mutant in it. */
function isReached({ touches }) {
  return contractTransports.some((path) => touches(`kvferry:${path}`))
}

async function judge(bench, mutant) {
  const begun = Date.now()
  bench.begin(mutant.name)
  const problem = isReached(mutant) ? await bench.apply(mutant) : unreached
  const failure =
    problem === undefined
      ? await firstFailure(bench, {
          engines: options.allEngines ? engines : engines.filter(mutant.touches),
          suites: options.suites,
          cases: options.cases,
          touches: options.allEngines ? undefined : mutant.touches,
          killer: killerOf(mutant),
        })
      : undefined
  await bench.revert(mutant)
  bench.end()
  const slow = failure?.undecided === true ? failure.by : undefined
  const result = {
    mutant,
    problem: problem ?? slow,
    failure: slow === undefined ? failure : undefined,
    millis: Date.now() - begun,
  }
  results.push(result)
  expectation.mutantTook(result.millis / 1000)
  live.say(`  ${line(result)}`)
  // What a suite says of somebody's own mutant is what they came for.
  if (mutant.own && failure !== undefined && failure.text !== "") live.say(failure.text)
}

function line({ mutant, problem, failure, millis }) {
  const end =
    problem !== undefined
      ? `NO VERDICT: ${problem}`
      : failure === undefined
        ? "SURVIVES"
        : `killed by ${failure.by}`
  return `${mutant.name.padEnd(44)} ${(millis / 1000).toFixed(0).padStart(4)} s  ${end}`
}

function report(interrupted) {
  results.sort((a, b) => inOrder(a.mutant.name, b.mutant.name))
  const none = results.filter(({ problem }) => problem !== undefined)
  const killed = results.filter(({ failure }) => failure !== undefined)
  const survivors = results.filter(({ problem, failure }) => problem === undefined && failure === undefined)
  process.stdout.write(`${results.map(line).join("\n")}\n\n`)
  const of = results.length - none.length
  const score = of === 0 ? 0 : (100 * killed.length) / of
  const left = interrupted ? `; interrupted, ${mutants.length - results.length} not tried` : ""
  process.stdout.write(
    `mutation score: ${killed.length} of ${of} killed (${Math.floor(score)} %), ${seconds(started)}; engines ${engines.join(", ")}${left}\n`,
  )
  for (const { mutant } of survivors) process.stdout.write(`survives: ${mutant.name}: ${mutant.words}\n`)
  if (options.markdown !== undefined) writeFileSync(options.markdown, markdown())
  if (options.record) record(killed)
  return none.length > 0 ? 3 : survivors.length > 0 ? 1 : 0
}

/** By number; those of somebody's own come last. */
function inOrder(one, other) {
  const [a, b] = [one, other].map((name) => Number(/^\d+(?=-)/.exec(name)?.[0] ?? Infinity))
  return a === b ? one.localeCompare(other, "en") : a - b
}

/** What was not judged now keeps what it had. */
function record(killed) {
  const now = killed.flatMap(({ mutant, failure: { where } }) =>
    mutant.own || where === undefined ? [] : [[mutant.name, where]],
  )
  const all = Object.entries({ ...killers, ...Object.fromEntries(now) }).sort(([a], [b]) => inOrder(a, b))
  writeFileSync(killersFile, `${JSON.stringify(Object.fromEntries(all), null, 2)}\n`)
}

function markdown() {
  const rows = results.map(
    ({ mutant, failure, millis }) =>
      `| ${mutant.name} | ${mutant.words} | ${failure === undefined ? "**survives**" : `\`${failure.by}\``} | ${(millis / 1000).toFixed(0)} |`,
  )
  return ["| mutant | what is wrong | killed by | s |", "| --- | --- | --- | --- |", ...rows, ""].join("\n")
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(0)} s`
}

function readOptions() {
  const list = (text) => text?.split(",").filter((part) => part !== "")
  try {
    const { values } = parseArgs({
      options: {
        only: { type: "string" },
        patch: { type: "string", multiple: true },
        engines: { type: "string" },
        "all-engines": { type: "boolean" },
        suites: { type: "string" },
        cases: { type: "string" },
        jobs: { type: "string" },
        markdown: { type: "string" },
        check: { type: "boolean" },
        "no-control": { type: "boolean" },
        afresh: { type: "boolean" },
        record: { type: "boolean" },
        help: { type: "boolean" },
      },
    })
    if (values.help) {
      process.stdout.write(help)
      process.exit(0)
    }
    const jobs = Number(values.jobs ?? Math.max(1, Math.floor(availableParallelism() / 2)))
    if (!Number.isInteger(jobs) || jobs < 1 || jobs > 64) usage("--jobs is a number from 1 to 64")
    const suites = list(values.suites) ?? suiteNames
    const odd = suites.find((suite) => !suiteNames.includes(suite))
    if (odd !== undefined) usage(`there is no suite ${odd}: ${suiteNames.join(", ")}`)
    return {
      only: list(values.only),
      patches: values.patch,
      engines: list(values.engines),
      allEngines: values["all-engines"] === true,
      suites,
      cases: values.cases,
      jobs,
      markdown: values.markdown,
      check: values.check === true,
      control: values["no-control"] !== true,
      afresh: values.afresh === true,
      record: values.record === true,
    }
  } catch (thrown) {
    return usage(`${thrown.message}\n\n${help}`)
  }
}
