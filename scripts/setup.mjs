/**
 * Brings a fresh clone to where it runs: dependencies, then the compiled sources. What is done is not done again,
 * and nothing here needs the network once it has been done.
 *
 * Plain JavaScript on Node's own modules: it runs before anything is installed. All talk goes to standard error.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
const at = (...parts) => join(root, ...parts)

/** Installs and compiles what is missing or stale. */
export function setUp() {
  checkNode()
  once(
    "dependencies",
    at("node_modules", ".kvferry-installed"),
    hashOf(["package.json", "package-lock.json"]),
    () => {
      run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"])
    },
  )
  const sources = [...filesBelow("src"), "tsconfig.json", "package-lock.json"]
  once("sources", at("dist", ".built"), hashOf(sources), () => {
    rmSync(at("dist"), { recursive: true, force: true })
    run(process.execPath, [at("node_modules", "typescript", "bin", "tsc"), "-p", at("tsconfig.json")])
  })
}

/** Every file below a folder, as paths from the repository's root, sorted. */
export function filesBelow(folder) {
  if (!existsSync(at(folder))) return []
  return readdirSync(at(folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1))
    .sort()
}

function once(name, stamp, hash, action) {
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return
  const started = Date.now()
  process.stderr.write(`kvferry: setting up ${name} … `)
  if (!process.stderr.isTTY) process.stderr.write("\n")
  action()
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, hash)
  process.stderr.write(`kvferry: ${name} ready (${((Date.now() - started) / 1000).toFixed(1)} s)\n`)
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

/** Runs a step; its output goes to standard error, its failure ends the set-up. */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] })
  if (status === 0) return
  const why = error === undefined ? `it ended with status ${status}` : error.message
  process.stderr.write(`kvferry: set-up failed: ${command} ${args.join(" ")}: ${why}\n`)
  process.exit(3)
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  process.stderr.write(`kvferry: Node ${process.versions.node} is too old; install 20.19 or newer\n`)
  process.exit(3)
}
