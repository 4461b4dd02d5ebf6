/**
 * `npm run check`: types, format and lint, the arrows between the rooms, dead code, and the documents' links. Each is
 * run, whatever the others say; the exit code is 1 when one of them found something.
 */
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { brokenLinks } from "./links.mjs"
import { filesBelow, root, setUp } from "./setup.mjs"

/** Fewer modules than this were never here: a checker that reads nothing reports no fault. */
const modulesMin = 150

await setUp()
const results = [
  step("format and lint", () => tool("@biomejs/biome/bin/biome", ["check", "--error-on-warnings", "."])),
  step("arrows between rooms", arrows),
  step("dead code", () => tool("knip/bin/knip.js", [])),
  step("links of the documents", links),
]
const failed = results.filter(({ good }) => !good)
process.stderr.write(
  failed.length === 0
    ? `check: ${results.length + 1} of ${results.length + 1} good (types were checked by the build)\n`
    : `check: ${failed.map(({ name }) => name).join(", ")} failed\n`,
)
process.exitCode = failed.length === 0 ? 0 : 1

function step(name, run) {
  process.stderr.write(`check: ${name}\n`)
  return { name, good: run() }
}

function links() {
  const broken = brokenLinks()
  for (const line of broken) process.stderr.write(`  ${line}\n`)
  return broken.length === 0
}

function tool(script, args, cwd = root) {
  const path = join(root, "node_modules", script)
  return spawnSync(process.execPath, [path, ...args], { cwd, stdio: ["ignore", 2, 2] }).status === 0
}

/**
 * The dependency rules, over a copy in which `await using` is `const`: the parser of this version does not know the
 * declaration, and it makes no difference to an arrow.
 */
function arrows() {
  const copy = mkdtempSync(join(tmpdir(), "kvferry-arrows-"))
  try {
    for (const file of ["package.json", "tsconfig.json", ".dependency-cruiser.mjs"])
      cpSync(join(root, file), join(copy, file))
    cpSync(join(root, "src"), join(copy, "src"), { recursive: true })
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
    const sources = filesBelow("src").filter((file) => file.endsWith(".ts"))
    for (const file of sources) {
      const text = readFileSync(join(root, file), "utf8")
      writeFileSync(join(copy, file), text.replaceAll(/\b(?:await )?using (?=[A-Za-z_$])/g, "const "))
    }
    const config = ["--config", ".dependency-cruiser.mjs"]
    const args = ["src", ...config, "--output-type", "json"]
    const script = join(root, "node_modules", "dependency-cruiser/bin/dependency-cruise.mjs")
    const { stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
      cwd: copy,
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    })
    const found = parsed(stdout)
    if (found === undefined) {
      process.stderr.write(`${stderr}\n`)
      return false
    }
    const { violations, totalCruised } = found.summary
    for (const { rule, from, to } of violations) process.stderr.write(`  ${rule.name}: ${from} → ${to}\n`)
    const read = found.modules.filter(({ source }) => source.startsWith("src/")).length
    process.stderr.write(
      `  ${read} modules of ours read, ${totalCruised} in all, ${violations.length} forbidden arrows\n`,
    )
    if (read < modulesMin || read < sources.length) {
      process.stderr.write(
        `  ${sources.length} sources, and at least ${modulesMin} were expected: the checker did not read them\n`,
      )
      return false
    }
    return violations.length === 0
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
