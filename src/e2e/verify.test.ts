import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { fromJSONSchema } from "zod"
import type { VerifyDocument } from "../judge/verify-document.ts"
import { kvferry, startKvferry } from "./run-kvferry.ts"

const folder = mkdtempSync(join(tmpdir(), "kvferry-verify-"))
after(() => rmSync(folder, { recursive: true, force: true }))
const schemaFile = fileURLToPath(new URL("../../docs/schemas/verify-1.json", import.meta.url))
const schema = fromJSONSchema(
  JSON.parse(readFileSync(schemaFile, "utf8")) as Parameters<typeof fromJSONSchema>[0],
)

test("kvferry verify judges an engine over two paths, and writes a record, JUnit and a page", async () => {
  const [json, junit, report] = ["v.json", "v.xml", "v.html"].map((name) => join(folder, name))
  const files = ["--json", json!, "--junit", junit!, "--report", report!]
  const engines = ["--engines", "kvferry:shm,kvferry:tcp", "--quick"]
  const cases = ["--cases", "receipts/pieces,blocks/lengths-*,order/notes-pieces-read"]
  const { code, stdout, stderr } = await kvferry(["verify", ...engines, ...cases, ...files])
  assert.equal(code, 0, stdout + stderr)
  assert.match(stdout, /^ +kvferry:shm +kvferry:tcp$/m)
  assert.match(stdout, /^blocks\/lengths-read +ok +ok$/m)
  assert.match(stdout, /^verdict: passed /m)
  const document = JSON.parse(readFileSync(json!, "utf8")) as VerifyDocument
  assert.ok(schema.safeParse(document).success, JSON.stringify(schema.safeParse(document).error?.issues))
  assert.deepEqual(
    document.engines.map(({ cases }) => cases.length),
    [4, 4],
  )
  assert.ok(document.engines[0]!.cases[0]!.bytesChecked > 1e6)
  assert.match(readFileSync(junit!, "utf8"), /<testsuite name="kvferry:tcp receipts" tests="1" failures="0"/)
  assert.match(readFileSync(report!, "utf8"), /<title>kvferry verify: passed</)
})

test("the schema refuses what is no record", () => {
  for (const wrong of [{}, { schema: "kvferry/verify/2" }, []])
    assert.equal(schema.safeParse(wrong).success, false)
})

test("an engine that was asked for and does not run here is exit code 3, and no case of it a pass", async () => {
  const wanted = ["verify", "--engines", "nixl==9.9.9:UCX", "--suites", "receipts", "--json"]
  const { code, stdout } = await kvferry(wanted, { env: { XDG_CACHE_HOME: folder } })
  assert.equal(code, 3)
  const { verdict, engines } = JSON.parse(stdout) as VerifyDocument
  assert.equal(verdict, "not judged")
  assert.ok(schema.safeParse(JSON.parse(stdout)).success)
  assert.match(engines[0]!.unavailable!, /9\.9\.9/)
  assert.ok(engines[0]!.cases.every((one) => one.verdict === "not supported"))
})

test("what --install cannot install ends the run before anything is judged", async () => {
  const wanted = [
    "verify",
    "--install",
    "--engines",
    "kvferry:shm,mooncake==9.9.9:tcp",
    "--suites",
    "receipts",
  ]
  const env = { XDG_CACHE_HOME: folder, PIP_NO_INDEX: "1", PIP_FIND_LINKS: folder, KVFERRY_PEERS_PYTHON: "" }
  const { code, stdout, stderr } = await kvferry(wanted, { env })
  assert.notEqual(code, 0)
  assert.equal(stdout, "")
  assert.match(stderr, /mooncake|python/i)
})

test("what cannot be asked is exit code 2, before anything runs", async () => {
  for (const [args, says] of [
    [["--engines", "ucx"], /"ucx" is no engine/],
    [["--engines", "kvferry:shm,kvferry:shm"], /named twice/],
    [["--engines", "kvferry:shm,KVFERRY:SHM"], /kvferry:shm was named twice/],
    [["--engines", "kvferry,memcpy"], /memcpy is no engine .*\n.*ceiling that kvferry bench/],
    [["--suites", "shape"], /no suite "shape"/],
    [["--cases", "shapes/\u001b[31m"], /no case fits/],
    [["--report", "/nowhere/report.html"], /--report .* cannot be written/],
    [["--quick", "--long"], /cannot be used with/],
    [["--seed", "-1"], /whole number/],
    [["--libfabric", "/nowhere/libfabric.so.1"], /\/nowhere\/libfabric.so.1 is no file/],
  ] as const) {
    const { code, stderr } = await kvferry(["verify", ...args])
    assert.equal(code, 2, stderr)
    assert.match(stderr, says)
    assert.doesNotMatch(stderr.replaceAll("\n", ""), /\p{Cc}/u)
  }
})

test("an error is on standard output only where the record would be", async () => {
  const wrong = ["verify", "--engines", "ucx", "--json"]
  const alone = await kvferry(wrong)
  assert.deepEqual([alone.code, JSON.parse(alone.stdout).error.code], [2, "KV_USAGE"])
  const file = await kvferry([...wrong, join(folder, "never.json")])
  assert.deepEqual([file.code, file.stdout], [2, ""])
})

test("kvferry verify --list names every case and what it is for", async () => {
  const { code, stdout } = await kvferry(["verify", "--list", "--suites", "order"])
  assert.equal(code, 0)
  assert.match(stdout, /^order\/visible-read +A transfer is called done before/m)
  assert.doesNotMatch(stdout, /^shapes/m)
})

test("an interrupted run prints what there is, and is exit code 130", async () => {
  const { child, ended } = startKvferry(["verify", "--engines", "kvferry:shm", "--json"])
  // It judges as soon as it has a driver.
  while (child.exitCode === null && !hasChildren(child.pid!)) await sleep(20)
  child.kill("SIGINT")
  const { code, stdout } = await ended
  const { interrupted, verdict } = JSON.parse(stdout) as VerifyDocument
  assert.deepEqual([code, interrupted, verdict], [130, true, "not judged"])
})

const hasChildren = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim() !== ""
