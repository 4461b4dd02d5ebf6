import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const folder = fileURLToPath(new URL("../../examples/", import.meta.url))
const run = promisify(execFile)

/** What each example prints, line by line. */
const expected: Record<string, readonly RegExp[]> = {
  "read.mjs": [
    /^delivered over shm: 1638400 bytes, identical$/,
    /^the lease ended: released; the same bytes: true$/,
  ],
  "write.mjs": [
    /^write delivered, 56 hashes compared by the target$/,
    /^the lease ended: landed; prefill says: request-2 is ready$/,
    /^the same bytes: true$/,
  ],
  "prepared.mjs": [
    /^post 0: current, planned in \d+ µs$/,
    /^post 1: current, planned in \d+ µs$/,
    /^post 2: current, planned in \d+ µs$/,
    /^cancelled: cancelled, KV_CANCELLED$/,
    /^after the release: KV_LEASE_UNKNOWN, ticket failed$/,
  ],
  "attach.mjs": [/^attach delivered: current, 0 bytes copied$/, /^the first byte is 0$/],
  "two-processes.mjs": [/^delivered from pid of the child$/, /^shm, identical$/],
}

test("every example is run here", () => {
  const files = readdirSync(folder).filter((name) => name.endsWith(".mjs") && name !== "layout.mjs")
  assert.deepEqual(files.sort(), Object.keys(expected).sort())
})

const home = mkdtempSync(join(tmpdir(), "kvferry-examples-"))
const env = { ...process.env, HOME: home, KVFERRY_HOME: "" }
after(() => rmSync(home, { recursive: true, force: true }))

for (const [file, lines] of Object.entries(expected)) {
  test(`examples/${file} does what its page says`, async () => {
    const { stdout, stderr } = await run(process.execPath, [folder + file], { timeout: 60_000, env })
    assert.equal(stderr, "")
    const said = stdout.trimEnd().split("\n")
    assert.equal(said.length, lines.length, stdout)
    lines.forEach((line, i) => {
      assert.match(said[i]!, line)
    })
  })
}

test("the program that the README shows does what its comment says", async () => {
  const root = fileURLToPath(new URL("../../", import.meta.url))
  const program = /^```js\n([\s\S]+?)^```/m.exec(readFileSync(`${root}README.md`, "utf8"))?.[1]
  assert.ok(program !== undefined)
  const args = ["--input-type=module", "--eval", program]
  const { stdout, stderr } = await run(process.execPath, args, { cwd: root, timeout: 60_000, env })
  assert.equal(stderr, "")
  assert.equal(stdout, "delivered shm identical\n")
})
