import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { fileURLToPath } from "node:url"

const script = fileURLToPath(new URL("../../scripts/mutants.mjs", import.meta.url))
const git = spawnSync("git", ["--version"]).status === 0
const skip = !git ? "there is no git here" : !existsSync(script) ? "only in a clone" : false

function mutants(...args: string[]) {
  return spawnSync(process.execPath, [script, ...args], { encoding: "utf8" })
}

/** A file with a patch in it. */
function patch(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-patch-"))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, "own.patch")
  writeFileSync(file, text)
  return file
}

test("every mutant still applies, and there are enough of them", { skip }, () => {
  const { status, stderr } = mutants("--check")
  assert.equal(status, 0, stderr)
  const [, count] = /all (\d+) patches apply/.exec(stderr) ?? []
  assert.ok(Number(count) >= 90, stderr)
})

test("of every mutant it is known what killed it, and of nothing else", { skip }, () => {
  const folder = fileURLToPath(new URL("../../mutants/", import.meta.url))
  const listed = readdirSync(folder).filter((file) => file.endsWith(".patch"))
  const killers = JSON.parse(readFileSync(join(folder, "killers.json"), "utf8")) as Record<string, unknown>
  assert.deepEqual(Object.keys(killers).sort(), listed.map((file) => file.replace(/[.]patch$/, "")).sort())
})

test("a patch that does not apply is an error that says so", { skip }, (t) => {
  const file = patch(
    t,
    "--- a/src/agent/pull.ts\n+++ b/src/agent/pull.ts\n@@ -1 +1 @@\n-nothing like it\n+x\n",
  )
  const { status, stderr } = mutants("--check", "--patch", file)
  assert.equal(status, 3)
  assert.match(stderr, /own does not apply: .*pull[.]ts/)
})

test("what is no patch, or no option, is refused", { skip }, (t) => {
  assert.equal(mutants("--check", "--patch", patch(t, "hello\n")).status, 3)
  assert.equal(mutants("--check", "--patch", "/nowhere/at/all").status, 2)
  assert.equal(mutants("--check", "--only", "no-such-mutant").status, 2)
  assert.equal(mutants("--suites", "none").status, 2)
  assert.equal(mutants("--speed").status, 2)
})
