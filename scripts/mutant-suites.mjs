/**
 * What mutants are judged by: suites that were written for every engine and every fabric, none of them for a mutant.
 *
 * `verify` is the judge's own, over processes. It cannot see what needs a NIC, a clock of its own or a look inside an agent: for
 * that there are the contract of all transports, the promises, and the simulation.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { basename, join } from "node:path"

export const suiteNames = ["verify", "contract", "promises", "simulation"]

/** Transports whose contract a machine without a NIC can run. */
export const contractTransports = ["shm", "cma", "tcp", "libfabric"]

/** A suite that has not ended by then says nothing: each ends what hangs by itself, so it is the machine that is too slow. */
const millisMax = 1_800_000
/** A file of tests that has finished none for so long hangs. Each test says when it has ended, and none takes a minute on an idle machine. */
const quietMillis = 300_000
/** Schedules that are played, from seed 1. */
const schedules = 150

/** The paths of kvferry that this machine can run between processes, as engines. */
export function enginesHere() {
  const libfabric = spawnSync("/sbin/ldconfig", ["-p"], { encoding: "utf8" })
  const found = libfabric.status === 0 && libfabric.stdout.includes("libfabric.so.1")
  return ["shm", "cma", "tcp", ...(found ? ["libfabric-tcp"] : [])].map((path) => `kvferry:${path}`)
}

/**
 * @param options.touches whether a mutant can be seen in an engine at all.
 * @param options.killer what killed the mutant the last time, as `failure.where` said it: it is asked before all others.
 * @returns the first case that fails on a bench, and what it says; undefined when all pass.
 */
export async function firstFailure(bench, { engines, suites, cases, touches = () => true, killer }) {
  const before = killer === undefined ? undefined : await asBefore(bench, killer, engines)
  // Once is the machine; and what no longer sees it says nothing about the others.
  if (before !== undefined && before.undecided !== true) return before
  for (const suite of suites) {
    const failure = await runs[suite](bench, { engines, cases, touches })
    if (failure !== undefined) return failure
  }
  return undefined
}

const runs = {
  verify: async (bench, { engines, cases }) => {
    for (const engine of engines) {
      const failure = await repeatedly(() =>
        verified(bench, engine, cases === undefined ? [] : ["--cases", cases]),
      )
      if (failure !== undefined) return failure
    }
    return undefined
  },
  contract: (bench, { touches }) => tests(bench, "contract", contractFiles(bench, touches)),
  promises: (bench) =>
    tests(
      bench,
      "promises",
      testFiles(bench, (file) => /^dist\/promises\/p\d/.test(file)),
    ),
  simulation: async (bench) => {
    bench.goTo("simulation")
    const main = join(bench.folder, "dist", "sim", "main.js")
    const args = [main, "--schedules", String(schedules), "--seed", "1"]
    const { status, text, timedOut } = await bench.run(process.execPath, args, { millis: millisMax })
    if (timedOut) return tooSlow("simulation")
    const where = { suite: "simulation" }
    return status === 0 ? undefined : { where, by: `simulation: ${simulated(text)}`, text: tail(text) }
  },
}

/** The one case that killed it the last time; as any other, it has to do so twice. */
function asBefore(bench, { suite, engine, id, file, test }, engines) {
  if (suite === "simulation") return runs.simulation(bench)
  if (suite !== "verify") {
    if (!existsSync(join(bench.folder, file))) return undefined
    return test === undefined
      ? wholeFile(bench, suite, file)
      : twice(() => namedTest(bench, suite, file, test))
  }
  if (!engines.includes(engine)) return undefined
  return twice(() => verified(bench, engine, ["--cases", id]))
}

async function twice(run) {
  const failed = await run()
  return failed === undefined || failed.undecided === true ? undefined : again(failed, run)
}

async function verified(bench, engine, more = []) {
  bench.goTo(`verify ${engine}`)
  const json = join(bench.folder, "verify.json")
  rmSync(json, { force: true })
  const main = join(bench.folder, "dist", "cli", "main.js")
  const args = [main, "verify", "--engines", engine, "--quick", "--fail-fast", "--json", json, ...more]
  const { status, text, timedOut } = await bench.run(process.execPath, args, { millis: millisMax })
  if (timedOut) return tooSlow("verify")
  if (status === 0) return undefined
  // No case fits, or no engine: that is how it was asked, and no kill.
  if (status === 2) return { by: `verify ${engine} was asked wrongly`, text: tail(text), undecided: true }
  const failed = failedCase(json)
  if (failed === undefined) return { by: `verify ${engine}: exit code ${status}`, text: tail(text) }
  if (more.length > 0) return failed
  return again(failed, () => verified(bench, engine, ["--cases", failed.id]))
}

/** A busy machine fails a case now and then. What does not fail once more in two tries was the machine. */
async function again(failed, retry) {
  for (let tries = 0; tries < 2; tries++) if ((await retry()) !== undefined) return failed
  return { by: `${failed.by} failed once, and not again`, text: failed.text, undecided: true }
}

/** A suite that stopped at a failure of the machine's is run anew. */
async function repeatedly(run) {
  for (let tries = 0; tries < 2; tries++) {
    const failure = await run()
    if (failure?.undecided !== true) return failure
  }
  return await run()
}

/** The first failed case of a verify document. */
function failedCase(file) {
  if (!existsSync(file)) return undefined
  const { engines } = JSON.parse(readFileSync(file, "utf8"))
  for (const { engine, cases } of engines) {
    const failed = cases.find(({ verdict }) => verdict === "failed")
    if (failed === undefined) continue
    const { kind, cause, text } = failed.finding ?? {}
    const what = [kind, cause].filter((word) => word !== undefined).join(", ")
    const { id } = failed
    const where = { suite: "verify", engine, id }
    return { id, where, by: `verify ${engine} ${id} (${what})`, text: text ?? "" }
  }
  return undefined
}

/** The contract of every transport that a machine without a NIC has, and of what all RDMA fabrics share: that also under load and deaths. */
function contractFiles(bench, touches) {
  const transports = contractTransports.filter((name) => touches(`kvferry:${name}`))
  const rdma = touches("kvferry:libfabric") ? ["rdma-core", "rail-death", "rdma-soak"] : []
  const files = [
    ...rdma.map((name) => `dist/transport/rdma/${name}.test.js`),
    ...transports.map((name) => `dist/transport/${name}/${name}.test.js`),
  ]
  return testFiles(bench, (file) => files.includes(file)).sort((a, b) => files.indexOf(a) - files.indexOf(b))
}

/** Tests of a bench: what lies there is what was compiled. None is no pass. */
function testFiles(bench, wanted) {
  const dist = join(bench.folder, "dist")
  const files = readdirSync(dist, { recursive: true }).map((file) => `dist/${file}`)
  const found = files.filter((file) => file.endsWith(".test.js") && wanted(file)).sort()
  if (found.length === 0) throw new Error(`there are no tests in ${dist}`)
  return found
}

async function tests(bench, suite, files) {
  for (const file of files) {
    const failure = await repeatedly(() => wholeFile(bench, suite, file))
    if (failure !== undefined) return failure
  }
  return undefined
}

async function wholeFile(bench, suite, file) {
  const failed = await testFile(bench, suite, file)
  if (failed === undefined || failed.undecided === true) return failed
  // A file that ended badly fails as a whole, under its own name: no test in it is called that.
  if (failed.name === undefined || failed.name.endsWith(file))
    return again(failed, () => testFile(bench, suite, file))
  return again(failed, () => namedTest(bench, suite, file, failed.name))
}

function namedTest(bench, suite, file, name) {
  const pattern = `^${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`
  return testFile(bench, suite, file, ["--test-name-pattern", pattern])
}

async function testFile(bench, suite, file, more = []) {
  bench.goTo(`${suite} ${basename(file, ".test.js")}`)
  const args = ["--test", "--test-reporter=tap", ...more, file]
  const { status, text, timedOut, fellSilent } = await bench.run(process.execPath, args, {
    millis: millisMax,
    quietMillis,
    heard: (said) => notOk(said) !== undefined,
  })
  const name = notOk(text)
  const where = { suite, file, ...(name === undefined || name.endsWith(file) ? {} : { test: name }) }
  if (name !== undefined) return { name, where, by: `${suite}: ${name}`, text: "" }
  if (timedOut) return tooSlow(suite)
  if (fellSilent) return { where, by: `${suite}: ${basename(file)} hangs`, text: tail(text) }
  return status === 0 ? undefined : { where, by: `${suite}: exit code ${status}`, text: tail(text) }
}

/** The first test that failed; its file's own line comes later. */
const notOk = (text) => /^ *not ok \d+ - (.*)$/m.exec(text)?.[1]

/** What the simulation found, in one line. */
function simulated(text) {
  const lines = text.split("\n")
  const at = lines.findIndex((said) => said.includes("broke a promise"))
  return at < 0 ? "a schedule failed" : `${lines[at].trim()} ${(lines[at + 1] ?? "").trim()}`.slice(0, 140)
}

const tooSlow = (suite) => ({ by: `${suite} had not ended after half an hour`, text: "", undecided: true })

const tail = (text) => text.trim().split("\n").slice(-15).join("\n")
