/**
 * Brings a fresh clone to where it runs: dependencies, then the compiled sources. What is done is not done again,
 * and nothing here needs the network once it has been done.
 *
 * Plain JavaScript on Node's own modules: it runs before anything is installed. All talk goes to standard error:
 * a progress line on a terminal, and what went wrong anywhere.
 */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
const at = (...parts) => join(root, ...parts)

/** Installs and compiles what is missing or stale. */
export async function setUp() {
  checkNode()
  const install = ["npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"]]
  await once(
    "installing dependencies",
    at("node_modules", ".kvferry-installed"),
    hashOf(["package.json", "package-lock.json"]),
    install,
  )
  const compile = [
    process.execPath,
    [at("node_modules", "typescript", "bin", "tsc"), "-p", at("tsconfig.json")],
  ]
  const sources = [...filesBelow("src"), "tsconfig.json", "package-lock.json"]
  await once("compiling", at("dist", ".built"), hashOf(sources), compile, () =>
    rmSync(at("dist"), { recursive: true, force: true }),
  )
  // npx makes it executable once, when it first links the package: not after the next compile.
  chmodSync(at("dist", "cli", "main.js"), 0o755)
}

/** Every file below a folder, as paths from the repository's root, sorted. */
export function filesBelow(folder) {
  if (!existsSync(at(folder))) return []
  return readdirSync(at(folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1))
    .sort()
}

async function once(what, stamp, hash, [command, args], before = () => {}) {
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return
  before()
  await run(what, command, args)
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, hash)
}

function hashOf(files) {
  const hash = createHash("sha256")
  for (const file of files)
    hash
      .update(file)
      .update("\0")
      .update(readFileSync(at(file)))
  return hash.digest("hex")
}

/** Runs a step. What it says is shown when it fails; a failure ends the set-up. */
async function run(what, command, args) {
  const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
  const said = []
  child.stdout.on("data", (chunk) => said.push(chunk))
  child.stderr.on("data", (chunk) => said.push(chunk))
  const clear = tick(what)
  const why = await new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message))
    child.once("close", (code) => resolve(code === 0 ? undefined : `it ended with status ${code}`))
  })
  clear()
  if (why === undefined) return
  process.stderr.write(`${Buffer.concat(said)}\nkvferry: set-up failed while ${what}\n`)
  process.stderr.write(`  why:  ${command} ${args.join(" ")}: ${why}\n`)
  process.stderr.write("  next: mend what it names above, and run the same command again\n")
  process.exit(3)
}

/** A line that counts the seconds, on a terminal only. Returns what clears it. */
export function tick(what) {
  if (!process.stderr.isTTY) return () => {}
  const started = Date.now()
  const draw = () =>
    process.stderr.write(`\r\u001b[Kkvferry: ${what} … ${Math.round((Date.now() - started) / 1000)} s`)
  draw()
  const timer = setInterval(draw, 250)
  return () => {
    clearInterval(timer)
    process.stderr.write("\r\u001b[K")
  }
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  process.stderr.write(`kvferry: Node ${process.versions.node} is too old; install 20.19 or newer\n`)
  process.exit(3)
}
