import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { gzipSync } from "node:zlib"
import { tarOf } from "./tar.ts"
import { untar } from "./untar.test.kit.ts"

const files = [
  { path: "a/empty", bytes: Buffer.alloc(0) },
  { path: "a/block", bytes: Buffer.alloc(512, 7) },
  { path: "a/ü.txt", bytes: Buffer.from("text\n") },
]
const archive = tarOf(files, new Date("2026-11-21T02:53:45.999Z"))

test("what goes in comes out, and the same files give the same archive", () => {
  const out = untar(gzipSync(archive))
  assert.deepEqual(
    [...out].map(([path, bytes]) => ({ path, bytes: Buffer.from(bytes) })),
    files,
  )
  assert.deepEqual(tarOf(files, new Date("2026-11-21T02:53:45.000Z")), archive)
})

test("tar itself reads it", (t) => {
  const found = spawnSync("tar", ["tvf", "-"], {
    input: archive,
    env: { ...process.env, TZ: "UTC", LC_ALL: "C.UTF-8" },
  })
  if (found.error !== undefined) return t.skip("there is no tar on this machine")
  assert.equal(found.status, 0, found.stderr.toString())
  const lines = found.stdout.toString().trim().split("\n")
  assert.equal(lines.length, 3)
  assert.match(lines[1]!, /^-rw-r--r-- 0\/0 +512 2026-11-21 02:53 a\/block$/)
})
