import assert from "node:assert/strict"
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import type { ExplainReport } from "../serve/explain.ts"
import { kvferry, startKvferry } from "./run-kvferry.ts"

const folder = mkdtempSync(join(tmpdir(), "kvferry-explain-"))
const secretFile = join(folder, "secret")
const trusted = ["--secret-file", secretFile]
let worker: ReturnType<typeof startKvferry>
let agent = ""
let pid = 0

before(async () => {
  writeFileSync(secretFile, "a secret for one test run, 32 by", { mode: 0o600 })
  const args = ["worker", "--role", "prefill", "--receipts", join(folder, "receipts"), ...trusted]
  worker = startKvferry(args)
  const ready = await new Promise<string>((resolve) => worker.child.stdout!.once("data", resolve))
  ;({ agent, pid } = JSON.parse(String(ready)) as { agent: string; pid: number })
})
after(async () => {
  worker.child.kill("SIGTERM")
  await worker.ended
  rmSync(folder, { recursive: true, force: true })
})

test("a peer is explained: who it is, every path with its reason, and the choice, which connects", async () => {
  const { code, stdout, stderr } = await kvferry(["explain", agent, ...trusted])
  assert.equal(code, 0, stderr)
  assert.match(stdout, new RegExp(`^${agent} is prefill-[0-9a-f]{6}\n`))
  assert.match(stdout, new RegExp(`pid ${pid}, boot [0-9a-f]{12}, kvferry \\d`))
  assert.match(stdout, /4 layers, 4 heads, 32 numbers of 4 bytes, head-major/)
  assert.match(stdout, /→ shm +yes +yes +[\d.]+ (µs|ms) +both agents are on one machine/)
  assert.match(stdout, /loopback +no +no +- +not in --paths/)
  assert.match(stdout, /chosen: shm /)
})

test("--json has the whole report; who asks needs no model", async () => {
  const { code, stdout } = await kvferry(["explain", agent, "--json", ...trusted])
  assert.equal(code, 0)
  const report = JSON.parse(stdout) as ExplainReport
  assert.deepEqual([report.schema, report.chosen, report.peer.pid], ["kvferry/explain/1", "shm", pid])
  assert.equal(report.candidates.find(({ transport }) => transport === "tcp")?.outcome?.connected, true)
})

test("without a path the exit code is 3, and each candidate says why: in text and as JSON", async () => {
  const options = ["--paths", "loopback,tcp", "--require", "loopback", ...trusted]
  const { code, stdout } = await kvferry(["explain", agent, ...options])
  assert.equal(code, 3)
  assert.match(stdout, /loopback +yes +no +- +the peer (offers no loopback|is another process)/)
  assert.match(stdout, /tcp +yes +yes .*but --require asks for loopback/)
  assert.match(stdout, /no path: none of --paths loopback,tcp, --require loopback reaches this peer/)
  const json = await kvferry(["explain", agent, "--json", ...options])
  assert.equal(json.code, 3)
  assert.equal((JSON.parse(json.stdout) as ExplainReport).chosen, null)
})

test("who has another secret learns nothing, and an address that is none, silent or another service's is told", async () => {
  const other = join(folder, "other")
  writeFileSync(other, "another secret of 32 characters.", { mode: 0o600 })
  const stranger = await kvferry(["explain", agent, "--secret-file", other])
  assert.equal(stranger.code, 3)
  assert.match(stranger.stderr, /KV_PEER_UNTRUSTED/)
  assert.ok(!`${stranger.stdout}${stranger.stderr}`.includes("prefill-"), "no name, no card")
  const nowhere = await kvferry(["explain", "127.0.0.1:1", ...trusted])
  assert.deepEqual([nowhere.code, /KV_PEER_UNREACHABLE/.test(nowhere.stderr)], [3, true])
  const wrong = await kvferry(["explain", "http://127.0.0.1", ...trusted])
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /not HOST:PORT[\s\S]*GET \/health/)
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve))
  const address = silent.address()
  assert.ok(address !== null && typeof address === "object")
  const { code, stderr } = await kvferry([
    "explain",
    `127.0.0.1:${address.port}`,
    "--timeout",
    "1",
    ...trusted,
  ])
  silent.close()
  assert.deepEqual([code, /KV_DEADLINE/.test(stderr)], [3, true], stderr)
})

test("a required path that cannot be opened keeps a worker from starting; otherwise it is left out and told", async () => {
  // Nobody's address: tcp cannot listen there.
  const elsewhere = [
    "worker",
    "--role",
    "decode",
    "--host",
    "192.0.2.1",
    "--paths",
    "loopback,tcp",
    ...trusted,
  ]
  const refused = await kvferry([...elsewhere, "--require", "tcp"])
  assert.equal(refused.code, 3)
  assert.match(refused.stderr, /tcp is required and cannot be opened here \(KV_TRANSPORT_UNAVAILABLE\)/)
  const contradiction = await kvferry([
    "worker",
    "--role",
    "decode",
    "--paths",
    "tcp",
    "--require",
    "loopback",
  ])
  assert.equal(contradiction.code, 2)
  const skipped = await kvferry(elsewhere)
  assert.match(skipped.stderr, /kvferry: the path tcp is not open: .*192\.0\.2\.1/)
})

test("a worker takes no path that is not required, and tells once that a better one was passed over", async () => {
  const ask = ["demo", "--json", "--prompt", "The sea", "--max-tokens", "2", "--paths", "loopback,tcp"]
  const refused = await kvferry([...ask, "--require", "loopback"])
  assert.equal(refused.code, 3)
  assert.match(refused.stdout, /KV_TRANSPORT_UNAVAILABLE/)
  assert.match(
    refused.stdout,
    /loopback: the peer is another process; tcp: .*but --require asks for loopback/,
  )
  const taken = await kvferry([...ask, "--prompt", "A boat", "--require", "tcp"])
  assert.equal(taken.code, 0, taken.stderr)
  const told = taken.stderr.match(/is reached over tcp, not loopback: the peer is another process/g)
  assert.equal(told?.length, 1, taken.stderr)
})

test("a worker with --encrypt tls is reached over tcp by who wants the same, and by nobody else", async () => {
  const closed = startKvferry([
    "worker",
    "--role",
    "prefill",
    "--encrypt",
    "tls",
    "--receipts",
    "off",
    ...trusted,
  ])
  try {
    const ready = await new Promise<string>((resolve) => closed.child.stdout!.once("data", resolve))
    const { agent: wary } = JSON.parse(String(ready)) as { agent: string }
    const ask = ["explain", wary, "--paths", "tcp", ...trusted]
    const clear = await kvferry(ask)
    assert.equal(clear.code, 3)
    assert.match(clear.stdout, /tcp +yes +no .*the peer wants TLS and this side does not offer it/)
    const same = await kvferry([...ask, "--encrypt", "tls"])
    assert.equal(same.code, 0, same.stderr)
    assert.match(same.stdout, /→ tcp +yes +yes +[\d.]+ (µs|ms) +both sides speak tcp with TLS 1\.3/)
    const other = await kvferry(["explain", agent, "--paths", "tcp", ...trusted], {
      env: { KVFERRY_ENCRYPT: "tls" },
    })
    assert.match(other.stdout, /tcp +yes +no .*this side wants TLS and the peer does not offer it/)
  } finally {
    closed.child.kill("SIGTERM")
    await closed.ended
  }
})

test("a request moves its blocks over TLS when both workers are told to, and is proven as ever", async () => {
  const ask = ["demo", "--json", "--prompt", "The sea", "--max-tokens", "2", "--paths", "tcp"]
  const { code, stdout, stderr } = await kvferry(ask, { env: { KVFERRY_ENCRYPT: "tls" } })
  assert.equal(code, 0, stderr)
  assert.match(stdout, /both sides speak tcp with TLS 1\.3/)
})

test("a demo leaves receipts, and `kvferry receipts` shows them; off leaves none", async () => {
  const home = join(folder, "home")
  const ask = ["demo", "--json", "--prompt", "The sea", "--max-tokens", "2"]
  const off = await kvferry(ask, { env: { KVFERRY_HOME: home, KVFERRY_RECEIPTS: "off" } })
  assert.equal(off.code, 0, off.stderr)
  assert.throws(() => statSync(join(home, "receipts")))
  const { code, stderr } = await kvferry(ask, { env: { KVFERRY_HOME: home } })
  assert.equal(code, 0, stderr)
  const [file, ...more] = readdirSync(join(home, "receipts"))
  assert.match(file!, /^decode-[0-9a-f]{6}-[0-9a-f]{8}\.000001\.jsonl$/)
  assert.equal(more.length, 0)
  const { stdout } = await kvferry(["receipts"], { env: { KVFERRY_HOME: home } })
  assert.match(stdout, /demo-[0-9a-f-]+… +shm .* full: identical +delivered\n1 ticket; /)
})

const rdmaHere = existsSync("/sys/class/infiniband") ? { skip: "this machine has RDMA devices" } : {}

test(
  "without a peer this machine is explained: what opens, and where the missing was looked for",
  rdmaHere,
  async () => {
    const { code, stdout, stderr } = await kvferry(["explain", "--paths", "shm,tcp"])
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^shm +yes/m)
    assert.match(stdout, / no {3}devices +none\n +looked for in \/sys\/class\/infiniband/)
    assert.match(stdout, / no {3}device files +none\n +looked for in \/dev\/infiniband/)
    assert.match(stdout, /next: load the driver of the NIC/)
    const { stdout: json } = await kvferry(["explain", "--local", "--json"])
    const report = JSON.parse(json) as { schema: string; rdma: { what: string; found: boolean }[] }
    assert.equal(report.schema, "kvferry/explain-local/1")
    assert.ok(report.rdma.some(({ what, found }) => what === "devices" && !found))
  },
)

test("--local and a peer exclude each other", async () => {
  assert.equal((await kvferry(["explain", "127.0.0.1:1", "--local"])).code, 2)
  assert.equal((await kvferry(["explain", "--paths", "pigeon"])).code, 2)
})
