/**
 * `npm test [-- PART …]`: sets up, then runs every test whose path contains one of the parts; all without parts.
 * The runner's own summary comes last.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { filesBelow, root, setUp } from "./setup.mjs"

await setUp()
const parts = process.argv.slice(2)
const files = filesBelow("dist")
  // Those want RDMA: `npm run lab` runs them.
  .filter((file) => file.endsWith(".test.js") && !file.endsWith(".lab.test.js"))
  .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
if (files.length === 0) {
  process.stderr.write(`kvferry: no test's path contains ${parts.join(" or ")}\n`)
  process.exit(2)
}
const args = [
  "--test",
  "--test-reporter=spec",
  "--test-concurrency=2",
  "--test-timeout=900000",
  ...files.map((file) => join(root, file)),
]
const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" })
process.exit(status ?? 1)
