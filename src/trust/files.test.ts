import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { generateKeyPairSync } from "node:crypto"
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { identityNamed } from "../agent/keys.test.kit.ts"
import { KvError } from "../errors/kv-error.ts"
import { makeIdentity, readIdentity } from "./identity-file.ts"
import { openTrustFile } from "./trust-file.ts"

const isUsage =
  (words: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KvError && error.code === "KV_USAGE", String(error))
    assert.match(error.message, words)
    return true
  }

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "kvferry-trust-"))
  t.after(() => rmSync(path, { recursive: true }))
  return path
}

function fileWith(t: TestContext, content: string | Uint8Array, mode = 0o600): string {
  const file = join(folder(t), "file")
  writeFileSync(file, content)
  chmodSync(file, mode)
  return file
}

const one = identityNamed("one").publicKey
const other = identityNamed("other").publicKey

test("an identity is made once, for its owner's eyes, and read back the same", (t) => {
  const file = join(folder(t), "below", "identity")
  const made = makeIdentity(file)
  assert.match(made.publicKey, /^ed25519:/)
  assert.equal(makeIdentity(file).publicKey, made.publicKey)
  assert.equal(readIdentity(file).publicKey, made.publicKey)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(join(file, "..")), ["identity"], "nothing is left beside it")
})

test("a key that openssl made is an identity; one of another kind, or behind a passphrase, is none", (t) => {
  const pem = (type: "ed25519" | "x25519", passphrase?: string) => {
    const { privateKey } = generateKeyPairSync(type as "ed25519")
    const cipher = passphrase === undefined ? {} : { cipher: "aes-256-cbc", passphrase }
    return privateKey.export({ format: "pem", type: "pkcs8", ...cipher })
  }
  assert.match(readIdentity(fileWith(t, pem("ed25519"))).publicKey, /^ed25519:/)
  for (const content of [
    pem("x25519"),
    pem("ed25519", "secret"),
    "",
    "no key",
    new Uint8Array(100).fill(0xff),
  ])
    assert.throws(() => readIdentity(fileWith(t, content)), isUsage(/holds no Ed25519 private key/))
})

test("an identity that others can open is refused with the cure; so is a folder, a long file, and none", (t) => {
  const file = join(folder(t), "identity")
  makeIdentity(file)
  for (const mode of [0o640, 0o604, 0o660, 0o601]) {
    chmodSync(file, mode)
    assert.throws(() => readIdentity(file), isUsage(new RegExp(`mode ${mode.toString(8)}.*chmod 600 `)))
  }
  assert.throws(() => readIdentity(join(folder(t), "none")), isUsage(/cannot be read.*kvferry identity/))
  const dir = join(folder(t), "dir")
  mkdirSync(dir, { mode: 0o700 })
  assert.throws(() => readIdentity(dir), isUsage(/it is a folder/))
  assert.throws(() => readIdentity(fileWith(t, "x".repeat(20_000))), isUsage(/20000 bytes.*at most 16384/))
})

test("a pipe in place of a file is refused at once, not waited for", (t) => {
  const pipe = join(folder(t), "pipe")
  execFileSync("mkfifo", ["-m", "600", pipe])
  assert.throws(() => readIdentity(pipe), isUsage(/it is no file/))
  assert.throws(() => openTrustFile(pipe), isUsage(/it is no file/))
})

test("nothing of a private key stands in an error", (t) => {
  const { privateKey } = generateKeyPairSync("ed25519")
  const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString()
  const body = pem.split("\n")[1]!
  const file = fileWith(t, pem.replace("PRIVATE", "PUBLIC"))
  assert.throws(
    () => readIdentity(file),
    (error) => isUsage(/holds no/)(error) && !String(error).includes(body),
  )
})

test("a trust file that others may write is refused; that they read it is no matter", (t) => {
  for (const mode of [0o620, 0o602, 0o666, 0o664])
    assert.throws(() => openTrustFile(fileWith(t, one, mode)), isUsage(/write themselves in.*chmod go-w/))
  assert.deepEqual(openTrustFile(fileWith(t, one, 0o644)).find(one)?.publicKey, one)
})

test("a trust file that is missing, too long, not UTF-8 or wrong in a line is refused at the start", (t) => {
  assert.throws(() => openTrustFile(join(folder(t), "none")), isUsage(/cannot be read.*--trust/))
  assert.throws(() => openTrustFile(fileWith(t, "#".repeat(2 ** 20 + 1))), isUsage(/at most 1048576/))
  assert.throws(() => openTrustFile(fileWith(t, Uint8Array.of(0x23, 0xff, 0xfe))), isUsage(/is not UTF-8/))
  const file = fileWith(t, `${one}\nnonsense\n`)
  assert.throws(
    () => openTrustFile(file),
    isUsage(new RegExp(`${file}, line 2: "nonsense" is no public key`)),
  )
})

test("a key that is added or withdrawn counts from the next question on, also within one tick and one size", (t) => {
  const file = fileWith(t, one)
  const list = openTrustFile(file)
  for (let round = 0; round < 50; round++) {
    assert.deepEqual([list.find(one)?.publicKey, list.find(other)], [one, undefined])
    writeFileSync(file, other)
    assert.deepEqual([list.find(one), list.find(other)?.publicKey], [undefined, other])
    writeFileSync(file, one)
  }
})

test("a file that is put in another's place counts, also with old time stamps and behind a link", (t) => {
  const place = folder(t)
  const [file, next, link] = ["trust", "next", "link"].map((name) => join(place, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(file, one, { mode: 0o600 })
  symlinkSync(file, link)
  const list = openTrustFile(link)
  assert.equal(list.find(one)?.publicKey, one)
  writeFileSync(next, other, { mode: 0o600 })
  utimesSync(next, 1, 1)
  utimesSync(file, 1, 1)
  renameSync(next, file)
  assert.deepEqual([list.find(one), list.find(other)?.publicKey], [undefined, other])
})

test("a trust file that breaks while agents run lets nobody in until it is mended", (t) => {
  const file = fileWith(t, one)
  const list = openTrustFile(file)
  assert.equal(list.source, file)
  writeFileSync(file, `${one}\n${one.slice(0, 20)}`)
  assert.throws(() => list.find(one), isUsage(/line 2/))
  chmodSync(file, 0o666)
  assert.throws(() => list.find(one), isUsage(/mode 666/))
  rmSync(file)
  assert.throws(() => list.find(one), isUsage(/cannot be read/))
  writeFileSync(file, one, { mode: 0o600 })
  assert.equal(list.find(one)?.publicKey, one)
  assert.equal(readFileSync(file, "utf8"), one, "and is never written by us")
})
