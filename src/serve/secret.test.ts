import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { promisify } from "node:util"
import { KvError } from "../errors/kv-error.ts"
import { bearerOf, readSecret } from "./secret.ts"

const isUsage = (error: unknown): boolean => error instanceof KvError && error.code === "KV_USAGE"

function emptyFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-secret-"))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

function fileWith(t: TestContext, content: string | Uint8Array, mode = 0o600): string {
  const file = join(emptyFolder(t), "secret")
  writeFileSync(file, content)
  chmodSync(file, mode)
  return file
}

/** What a process with this home reads as its secret, in hexadecimal, or the code of its error. */
async function readAt(home: string): Promise<string> {
  const script = `
    const { readSecret } = await import(${JSON.stringify(new URL("./secret.js", import.meta.url).href)})
    try { console.log(Buffer.from(readSecret(undefined)).toString("hex")) } catch (error) { console.log(error.code) }
  `
  const args = ["--input-type=module", "-e", script]
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: { ...process.env, HOME: home, KVFERRY_HOME: "" },
  })
  return stdout.trim()
}

test("in an empty home, processes that start together make one secret, for their owner's eyes alone", async (t) => {
  const home = emptyFolder(t)
  const read = await Promise.all(Array.from({ length: 4 }, () => readAt(home)))
  assert.equal(new Set(read).size, 1, read.join(" "))
  assert.ok(read[0]!.length >= 64, read[0])
  const folder = join(home, ".kvferry")
  assert.deepEqual(readdirSync(folder), ["secret"], "nothing is left beside it")
  assert.equal(statSync(join(folder, "secret")).mode & 0o777, 0o600)
  assert.equal(statSync(folder).mode & 0o777, 0o700)
  assert.equal(await readAt(home), read[0])
})

test("a home that cannot be written is an error of usage", async (t) => {
  const file = fileWith(t, "no folder")
  assert.equal(await readAt(file), "KV_USAGE")
})

test("a file that others can read is refused, and the cure is told", (t) => {
  for (const mode of [0o640, 0o604, 0o660, 0o644, 0o610]) {
    const file = fileWith(t, "x".repeat(32), mode)
    assert.throws(
      () => readSecret(file),
      (error) => {
        assert.ok(isUsage(error), String(error))
        assert.match(String(error), new RegExp(`mode ${mode.toString(8)}.*chmod 600 `))
        return true
      },
    )
  }
  assert.equal(readSecret(fileWith(t, "x".repeat(32), 0o400)).byteLength, 32)
})

test("one newline at the end is no part of the secret; anything else is", (t) => {
  const text = "0123456789abcdef"
  assert.deepEqual(readSecret(fileWith(t, `${text}\n`)), readSecret(fileWith(t, text)))
  assert.equal(readSecret(fileWith(t, `${text}\n\n`)).byteLength, 17)
  assert.deepEqual([...readSecret(fileWith(t, new Uint8Array(20).fill(0xff)))], Array(20).fill(0xff))
})

test("a file that is missing, a folder, or holds too little is refused, and never made", (t) => {
  const folder = emptyFolder(t)
  assert.throws(() => readSecret(join(folder, "none")), isUsage)
  assert.deepEqual(readdirSync(folder), [])
  assert.throws(() => readSecret(folder), isUsage)
  for (const content of ["", "\n", "short", "0123456789abcde\n"]) {
    assert.throws(() => readSecret(fileWith(t, content)), isUsage)
  }
})

test("the bearer is derived: the same for one secret, another for another, and not the secret", (t) => {
  const file = fileWith(t, "the secret of this cluster\n")
  const secret = readSecret(file)
  assert.equal(bearerOf(secret), bearerOf(readSecret(file)))
  assert.notEqual(bearerOf(secret), bearerOf(new Uint8Array(32)))
  assert.match(bearerOf(secret), /^[0-9a-f]{64}$/)
  assert.notEqual(bearerOf(secret), Buffer.from(secret).toString("hex"))
  assert.equal(bearerOf(secret).includes(readFileSync(file, "utf8").trim()), false)
})
