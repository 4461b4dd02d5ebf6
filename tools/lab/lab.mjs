/** Runs one command in a guest: what it sees, what it is given, and how its end is told. */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { endings, runGuest } from "./guest.mjs"
import { qemuMachine } from "./qemu.mjs"
import { cannotRun, lastLines, Trouble } from "./trouble.mjs"
import { umlMachine, umlRefusal } from "./uml.mjs"
import { sees, viewLines, viewOf, writeSkeleton } from "./view.mjs"

const here = import.meta.dirname
const checkout = dirname(dirname(here))

/** What the command is given of this process's environment; the rest is named by --env. */
const passed = ["CI", "COLORTERM", "FORCE_COLOR", "LANG", "NO_COLOR", "TERM", "TZ"]

const helpers = { "wire.sh": "lab-wire", "perftest.sh": "lab-perftest" }

/**
 * Runs a command in a guest of its own.
 *
 * @param options as `parseOptions` returns them
 * @param progress told what takes long, and nothing when that is over
 * @param sinks where the command's output and errors go as they come
 * @returns the command's exit code, 124 at the time limit, 130 and the like when interrupted; and the seconds
 * @throws Trouble where it could not be run, with code 125 when the guest died
 */
export async function runInLab(options, progress = () => {}, sinks = ownSinks) {
  const cwd = realpathSync(options.cwd)
  const mounts = viewOf(checkout, options.views)
  if (!sees(mounts, cwd))
    throw new Trouble(2, {
      what: `the guest does not see the present folder ${JSON.stringify(cwd)}`,
      why: `its view is ${mounts.map(({ path }) => path).join(", ")}`,
      next: `run it below ${checkout}, or add --view ${cwd}`,
    })
  requireLinux()
  const machineOf = await (options.machine === "uml" ? umlMachine : qemuMachine)(options, mounts, progress)
  // A signal that comes before the guest is there waits until it is: no folder is left behind.
  for (const signal of endings) process.on(signal, wait)
  const run = temporaryFolder()
  const remove = () => rmSync(run, { recursive: true, force: true })
  try {
    const machine = machineOf(run)
    writeRun(run, { options, cwd, mounts, channels: machine.channels })
    // Once it has booted, the guest has all of it in its memory.
    const end = await runGuest(machine, options.timeoutSeconds, sinks, remove)
    return verdict(end, options)
  } finally {
    remove()
    for (const signal of endings) process.off(signal, wait)
  }
}

const wait = () => {}

const ownSinks = { output: process.stdout, errors: process.stderr }

function requireLinux() {
  if (process.platform === "linux" && process.arch === "x64") return
  throw new Trouble(cannotRun, {
    what: `the lab runs on Linux x86-64, and this is ${process.platform} ${process.arch}`,
    next: "run it on such a machine",
  })
}

/** Its path stands on the kernel's command line, where a blank would end it. */
function temporaryFolder() {
  const base = /^[\w./+@-]+$/.test(tmpdir()) ? tmpdir() : "/tmp"
  return mkdtempSync(join(base, "kvferry-lab-"))
}

/** The folder that the guest reads at boot: its first programs, its root's skeleton, its mounts, and the command. */
function writeRun(run, { options, cwd, mounts, channels }) {
  const guest = join(run, "guest")
  mkdirSync(join(guest, "bin"), { recursive: true })
  cpSync(join(here, `init-${options.machine}.sh`), join(run, "init"))
  chmodSync(join(run, "init"), 0o755)
  cpSync(join(here, "world.sh"), join(run, "world.sh"))
  cpSync(join(here, "inside.sh"), join(guest, "inside.sh"))
  for (const [file, name] of Object.entries(helpers)) {
    cpSync(join(here, file), join(guest, "bin", name))
    chmodSync(join(guest, "bin", name), 0o755)
  }
  writeSkeleton(join(run, "root"))
  writeFileSync(join(run, "view"), viewLines(mounts))
  const settings = {
    ...channels,
    rails: options.rails,
    wires: options.wires,
    mhz: megahertz(),
    directory: cwd,
  }
  writeFileSync(
    join(guest, "settings"),
    Object.entries(settings)
      .map(([name, value]) => `${name}=${shellWord(String(value))}\n`)
      .join(""),
  )
  writeFileSync(join(guest, "command"), options.command.map((word) => `${word}\0`).join(""))
  writeFileSync(
    join(guest, "environment"),
    environmentOf(options.variables)
      .map((line) => `${line}\0`)
      .join(""),
  )
}

function environmentOf(variables, environment = process.env) {
  const node = dirname(realpathSync(process.execPath))
  const found = new Map([
    ["PATH", `/run/lab/bin:${node}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`],
    ["HOME", "/root"],
    ["KVFERRY_LAB", "1"],
  ])
  for (const name of passed) if (environment[name] !== undefined) found.set(name, environment[name])
  for (const { name, value } of variables) {
    const given = value ?? environment[name]
    if (given === undefined)
      throw new Trouble(2, { what: `--env ${name}: it is not set here`, next: "give it a value" })
    found.set(name, given)
  }
  return [...found].map(([name, value]) => `${name}=${value}`)
}

function shellWord(text) {
  return `'${text.replaceAll("'", "'\\''")}'`
}

function megahertz() {
  return /^cpu MHz\s*:\s*([\d.]+)/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "2000.000"
}

function verdict(end, { machine, timeoutSeconds, verbose }) {
  if (verbose)
    process.stderr.write(
      `${end.console}lab: the command began after ${seconds(end.ready)}, all of it took ${seconds(end.all)}\n`,
    )
  if (end.how === "exit" || end.how === "interrupted") return end.code
  if (end.how === "limit") {
    process.stderr.write(
      `lab: ended at its time limit of ${timeoutSeconds} s (--timeout), ${end.ready === undefined ? "before" : "while"} the command ran\n`,
    )
    return 124
  }
  if (end.how === "trouble") throw new Trouble(125, { what: end.words, why: lastLines(end.console, 20) })
  const refusal = end.ready === undefined && machine === "uml" ? umlRefusal(end.console) : undefined
  if (refusal !== undefined) throw refusal
  throw new Trouble(125, {
    what: `the guest died ${end.ready === undefined ? "before the command began" : "while the command ran"}, after ${seconds(end.all)}`,
    why: lastLines(end.console, 20) || "it said nothing",
    next: "when its memory was short, give it more with --memory; --verbose shows all that its kernel said",
  })
}

function seconds(value) {
  return value === undefined ? "never" : `${value.toFixed(2)} s`
}
