import assert from "node:assert/strict"
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { type TestContext, test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { checkResultFiles, writeResultFile } from "./result-file.ts"

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-result-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const withCode = (code: string) => (error: unknown) => error instanceof KvError && error.code === code

test("a path that cannot be written is refused before the run", (t) => {
  const folder = folderFor(t)
  writeFileSync(join(folder, "file"), "")
  for (const path of [
    join(folder, "none", "a.html"),
    folder,
    join(folder, "file", "a.html"),
    join(folder, "none\n\u001b[2J", "a.html"),
    "",
    `${join(folder, "a.html")}/`,
    "/proc/a.html",
  ]) {
    assert.throws(
      () => checkResultFiles({ "--report": path }),
      (error: unknown) => {
        assert.ok(error instanceof KvError)
        assert.equal(error.code, "KV_USAGE")
        assert.ok(error.what.startsWith("--report "))
        assert.ok(!error.what.includes("\u001b"))
        return true
      },
    )
  }
  const path = join(folder, "a.html")
  checkResultFiles({ "--report": path, "--bundle": join(folder, "b.tar.gz"), "--json": undefined })
  checkResultFiles({ "--report": "a-name-in-this-folder.html" })
  checkResultFiles({ "--report": "/dev/null", "--json": "/dev/null" })
  const twice = { "--report": path, "--bundle": join(folder, "..", basename(folder), "a.html") }
  assert.throws(() => checkResultFiles(twice), /--report and --bundle name one file/)
  assert.deepEqual(readdirSync(folder), ["file"])
})

test("a result is there whole, replaces the earlier one, and leaves nothing beside it", (t) => {
  const folder = folderFor(t)
  const path = join(folder, "a.html")
  writeResultFile(path, "one")
  symlinkSync(path, join(folder, "link"))
  writeResultFile(join(folder, "link"), "two", 0o600)
  assert.equal(readFileSync(path, "utf8"), "two")
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(folder).sort(), ["a.html", "link"])
})

test("a folder that goes away during the run is KV_OS, and nothing is left", (t) => {
  const folder = folderFor(t)
  assert.throws(() => writeResultFile(join(folder, "gone", "a.html"), "x"), withCode("KV_OS"))
  mkdirSync(join(folder, "a.html"))
  assert.throws(() => writeResultFile(join(folder, "a.html"), "x"), withCode("KV_OS"))
  assert.deepEqual(readdirSync(folder), ["a.html"])
})

test("what is no plain file is written to, and stays what it is", () => {
  writeResultFile("/dev/null", "x")
  assert.ok(statSync("/dev/null").isCharacterDevice())
})
