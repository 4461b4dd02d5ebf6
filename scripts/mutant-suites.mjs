/**
 * What mutants are judged by: suites that were written for every engine and every fabric, none of them for a mutant.
 *
 * `verify` is the judge's own, over processes. It cannot see what needs a NIC, a clock of its own or a look inside an agent: for
 * that there are the contract of all transports, the promises, and the simulation.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { filesBelow } from "./setup.mjs"

export const suiteNames = ["verify", "contract", "promises", "simulation"]

/** A suite that has not ended by then says nothing: each ends what hangs by itself, so it is the machine that is too slow. */
const millisMax = 1_800_000
/** Schedules that are played, from seed 1. */
const schedules = 150

/** The paths of kvferry that this machine can run between processes, as engines. */
export function enginesHere() {
  const libfabric = spawnSync("/sbin/ldconfig", ["-p"], { encoding: "utf8" })
  const found = libfabric.status === 0 && libfabric.stdout.includes("libfabric.so.1")
  return ["shm", "cma", "tcp", ...(found ? ["libfabric-tcp"] : [])].map((path) => `kvferry:${path}`)
}

/** @returns the first case that fails on a bench, and what it says; undefined when all pass. */
export async function firstFailure(bench, { engines, suites }) {
  for (const suite of suites) {
    const failure = await runs[suite](bench, engines)
    if (failure !== undefined) return failure
  }
  return undefined
}

const runs = {
  verify: async (bench, engines) => {
    if (engines.length === 0) return undefined
    const json = join(bench.folder, "verify.json")
    const main = join(bench.folder, "dist", "cli", "main.js")
    const args = [main, "verify", "--engines", engines.join(","), "--quick", "--fail-fast", "--json", json]
    const { status, text, timedOut } = await bench.run(process.execPath, args, { millis: millisMax })
    if (timedOut) return tooSlow("verify")
    if (status === 0) return undefined
    return failedCase(json) ?? { by: `verify: exit code ${status}`, text: tail(text) }
  },
  contract: (bench) => tests(bench, "contract", contractFiles()),
  promises: (bench) =>
    tests(
      bench,
      "promises",
      testFiles((file) => /^dist\/promises\/p\d/.test(file)),
    ),
  simulation: async (bench) => {
    const main = join(bench.folder, "dist", "sim", "main.js")
    const args = [main, "--schedules", String(schedules), "--seed", "1"]
    const { status, text, timedOut } = await bench.run(process.execPath, args, {
      millis: millisMax,
    })
    if (timedOut) return tooSlow("simulation")
    return status === 0 ? undefined : { by: `simulation: ${simulated(text)}`, text: tail(text) }
  },
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
    return { by: `verify ${engine} ${failed.id} (${what})`, text: text ?? "" }
  }
  return undefined
}

/** The contract of every transport that a machine without a NIC has, and of what all RDMA fabrics share: that also under load and deaths. */
function contractFiles() {
  const transports = /^dist\/transport\/(shm|cma|tcp|libfabric)\/\1[.]test[.]js$/
  const rdma = ["rdma-core", "rail-death", "rdma-soak"].map((name) => `dist/transport/rdma/${name}.test.js`)
  return testFiles((file) => transports.test(file) || rdma.includes(file))
}

const testFiles = (wanted) => filesBelow("dist").filter((file) => file.endsWith(".test.js") && wanted(file))

async function tests(bench, suite, files) {
  const args = ["--test", "--test-reporter=tap", "--test-concurrency=1", "--test-timeout=120000", ...files]
  const { status, text, timedOut } = await bench.run(process.execPath, args, {
    millis: millisMax,
    heard: (said) => notOk(said) !== undefined,
  })
  const failed = notOk(text)
  if (failed !== undefined) return { by: `${suite}: ${failed}`, text: "" }
  if (timedOut) return tooSlow(suite)
  return status === 0 ? undefined : { by: `${suite}: exit code ${status}`, text: tail(text) }
}

/** The first test that failed; its file's own line comes later. */
const notOk = (text) => /^ *not ok \d+ - (.*)$/m.exec(text)?.[1]

/** What the simulation found, in one line. */
function simulated(text) {
  const line = text.split("\n").find((said) => /P\d|broken|violat|promise/i.test(said))
  return (line ?? "a schedule failed").trim().slice(0, 100)
}

const tooSlow = (suite) => ({ by: suite, text: "", undecided: true })

const tail = (text) => text.trim().split("\n").slice(-15).join("\n")
