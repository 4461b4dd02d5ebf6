/** The lab's own kernel: built once by `build-kernel.sh`, kept outside the checkout by the hash of its recipe. */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
} from "node:fs"
import { homedir } from "node:os"
import { delimiter, join } from "node:path"
import { cannotRun, Trouble } from "./trouble.mjs"

const here = import.meta.dirname

/** Program, and the Debian package that has it. */
const builders = [
  ["cc", "gcc"],
  ["make", "make"],
  ["flex", "flex"],
  ["bison", "bison"],
  ["bc", "bc"],
  ["xz", "xz-utils"],
  ["tar", "tar"],
  ["dpkg", "dpkg"],
]

/** Where the kernel of this checkout's recipe is kept. */
export function kernelFolder(environment = process.env) {
  const hash = createHash("sha256")
  for (const name of ["kernel.config", "build-kernel.sh"]) hash.update(readFileSync(join(here, name)))
  return join(cacheFolder(environment), hash.digest("hex").slice(0, 16))
}

/** Everything that the lab keeps between runs. Safe to delete. */
export function cacheFolder(environment = process.env) {
  const base = environment["XDG_CACHE_HOME"] || join(homedir(), ".cache")
  return join(base, "kvferry", "lab")
}

/**
 * The path of the kernel, which is built when it is not there: about six minutes on two cores, and 1 GiB meanwhile.
 *
 * @throws Trouble when a package is missing, or the build fails
 */
export async function umlKernel(progress) {
  const folder = kernelFolder()
  const kernel = join(folder, "linux.uml")
  if (existsSync(kernel)) return kernel
  requirePackages(
    [...builders, ["/usr/include/stdio.h", "libc6-dev"]],
    "the kernel is built once, and that takes",
  )
  mkdirSync(folder, { recursive: true })
  // Two runs that both build it cost time, and nothing else: each works apart, and the name appears at once.
  await build(folder, progress)
  return kernel
}

/** @throws Trouble that names the packages, and the line that installs them */
export function requirePackages(programs, why) {
  const missing = programs.filter(([program]) => !installed(program)).map(([, name]) => name)
  if (missing.length === 0) return
  const names = [...new Set(missing)].join(" ")
  throw new Trouble(cannotRun, {
    what: `not installed: ${names}`,
    why: `${why} them`,
    next: `apt-get update && apt-get install --no-install-recommends ${names}`,
  })
}

function installed(program) {
  if (program.startsWith("/")) return existsSync(program)
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"]
  return folders.some((folder) => folder !== "" && executable(join(folder, program)))
}

function executable(path) {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

async function build(folder, progress) {
  const log = join(folder, "build.log")
  const errors = openSync(log, "w")
  const child = spawn(join(here, "build-kernel.sh"), [folder], {
    stdio: ["ignore", "pipe", errors],
    detached: true,
  })
  closeSync(errors)
  const stop = endWithUs(child)
  child.stdout.setEncoding("utf8").on("data", (stage) => {
    progress(`building its kernel, once: ${stage.trim().split("\n").at(-1)}`)
  })
  const code = await new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message))
    child.once("close", (code, signal) => resolve(code ?? signal))
  })
  stop()
  progress()
  if (code === 0) return
  throw new Trouble(cannotRun, {
    what: `the lab's kernel was not built: ${JSON.stringify(code)}`,
    why: readFileSync(log, "utf8").trim().split("\n").slice(-12).join("\n        "),
    next: `mend what it names above, and run the same command again; all of it is in ${log}`,
  })
}

/** A build is ended with the run that wanted it. */
function endWithUs(child) {
  const handlers = ["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => {
    const handler = () => {
      process.kill(-child.pid, signal)
      child.once("close", () => process.exit(128 + { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }[signal]))
    }
    process.on(signal, handler)
    return [signal, handler]
  })
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler)
  }
}
