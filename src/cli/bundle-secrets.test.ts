/** What drivers and hosts authenticate each other with stands in no file of a bundle, also where a driver has written it to its log. */
import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { fileURLToPath } from "node:url"
import { untar } from "../judge/bundle/untar.test.kit.ts"
import { secretVariable } from "../judge/engines/secret-variable.ts"

const main = fileURLToPath(new URL("./main.js", import.meta.url))
const limit = { timeout: 120_000 }
const folder = mkdtempSync(join(tmpdir(), "kvferry-bundle-secrets-"))
after(() => rmSync(folder, { recursive: true }))

const clusterSecret = Buffer.from("planted cluster secret/with+signs")
const secretFile = join(folder, "cluster-secret")
writeFileSync(secretFile, clusterSecret, { mode: 0o600 })
const heard = join(folder, "heard")

/** A part of a program that runs before a driver: it tells the driver's secret to its log, and to this test. */
const talk = `
  const secret = process.env.${secretVariable}
  if (secret !== undefined) {
    require("node:fs").appendFileSync(${JSON.stringify(heard)}, secret + "\\n")
    const cluster = require("node:fs").readFileSync(${JSON.stringify(secretFile)})
    const words = (bytes) => [bytes, bytes.toString("hex"), bytes.toString("hex").toUpperCase(), bytes.toString("base64")]
    const lines = [
      "connecting with " + secret.slice(0, 20) + "\\u001b[31m" + secret.slice(20),
      ...words(Buffer.from(secret)), ...words(cluster),
      // Longer than what is kept of a line: the secret is cut.
      ".".repeat(360) + secret,
    ]
    const tell = (then) => process.stderr.write(lines.join("\\n") + "\\n", then)
    if (process.env.TEST_DIES === undefined) tell()
    else {
      // It dies at an answer of a case: the first ones are those of its being opened.
      const write = process.stdout.write.bind(process.stdout)
      let answers = 0
      process.stdout.write = (...args) => ++answers < 20 ? write(...args) : (answers === 20 && tell(() => process.exit(3)), true)
    }
  }`
const preload = join(folder, "talk.cjs")
writeFileSync(preload, talk)
const env = { ...process.env, NODE_OPTIONS: `--require ${preload}` }
const tiny = ["--block-size", "4K", "--blocks", "3", "--rounds", "1", "--duration", "0.02"]

/** Runs a command that writes a bundle; what its drivers told must be redacted everywhere in it. */
function checkBundle(
  args: readonly string[],
  { dies = false, status = 0, more = [] as readonly Buffer[] } = {},
): void {
  const file = join(folder, "evidence.tar.gz")
  rmSync(heard, { force: true })
  const ran = spawnSync(process.execPath, [main, ...args, "--bundle", file], {
    encoding: "utf8",
    env: dies ? { ...env, TEST_DIES: "1" } : env,
  })
  assert.equal(ran.status, status, ran.stdout + ran.stderr)
  const files = untar(readFileSync(file))
  const logs = [...files].filter(([path]) => path.includes("/logs/")).map(([, text]) => text.toString())
  assert.ok(
    logs.some((text) => text.includes("connecting with") && text.includes("<redacted>")),
    "the log that tells the secret is in the bundle",
  )
  const secrets = [...new Set(readFileSync(heard, "utf8").trim().split("\n"))]
  assert.equal(secrets.length, 1, "one secret for a run")
  for (const secret of [...secrets.map((text) => Buffer.from(text)), ...more]) {
    const hex = secret.toString("hex")
    const forms = [
      secret.toString(),
      hex,
      hex.toUpperCase(),
      secret.toString("base64"),
      secret.toString().slice(0, 24),
    ]
    for (const [path, text] of files)
      for (const form of forms) assert.ok(!text.includes(form), `${form} in ${path}`)
  }
}

test("of kvferry bench", limit, () => {
  checkBundle(["bench", ...tiny, "--engines", "kvferry:shm,memcpy"])
})

test("of kvferry verify, in the log of a driver that dies", limit, () => {
  const cases = ["--cases", "receipts/pieces", "--quick"]
  checkBundle(["verify", "--engines", "kvferry:shm", ...cases], { dies: true, status: 1 })
})

test("of a bench between two hosts, with the secret that these share", limit, async () => {
  const target = spawn(
    process.execPath,
    [main, "bench", "target", "--port", "0", "--secret-file", secretFile],
    { stdio: ["ignore", "pipe", "inherit"], env },
  )
  try {
    const [line] = (await once(target.stdout, "data")) as [Buffer]
    const { address } = JSON.parse(line.toString()) as { address: string }
    const sides = ["--target", address, "--secret-file", secretFile]
    checkBundle(["bench", "initiator", ...sides, ...tiny, "--engines", "kvferry:tcp"], {
      more: [clusterSecret],
    })
  } finally {
    const exited = once(target, "exit")
    target.kill("SIGTERM")
    await exited
  }
})
