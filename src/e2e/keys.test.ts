import assert from "node:assert/strict"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import type { ExplainReport } from "../serve/explain.ts"
import { kvferry, startKvferry } from "./run-kvferry.ts"

const folder = mkdtempSync(join(tmpdir(), "kvferry-keys-"))
const at = (name: string): string => join(folder, name)
const lines: Record<string, string> = {}
let worker: ReturnType<typeof startKvferry>
let agent = ""

const trustFile = (name: string, ...entries: string[]): string => {
  writeFileSync(at(name), `${entries.join("\n")}\n`, { mode: 0o600 })
  return at(name)
}
const identityLine = async (host: string): Promise<string> => {
  const { code, stdout, stderr } = await kvferry(["identity", "--file", at(host)])
  assert.equal(code, 0, stderr)
  return stdout.trim()
}
/** `kvferry explain` from host A with a trust file of its own. */
const explainFrom = (identity: string, trust: string, ...more: string[]) =>
  kvferry(["explain", agent, "--identity", at(identity), "--trust", trust, ...more])

// Two hosts as docs/trust.md has them: B serves a worker, A calls it.
before(async () => {
  for (const host of ["a", "b", "stranger"]) lines[host] = await identityLine(host)
  const trust = trustFile("b.trust", "# who may read the caches of host B", lines["a"]!)
  const files = ["--identity", at("b"), "--trust", trust, "--receipts", at("receipts")]
  worker = startKvferry(["worker", "--role", "prefill", ...files])
  const ready = await new Promise<string>((resolve) => worker.child.stdout!.once("data", resolve))
  agent = (JSON.parse(String(ready)) as { agent: string }).agent
})
after(async () => {
  worker.child.kill("SIGTERM")
  await worker.ended
  rmSync(folder, { recursive: true, force: true })
})

test("kvferry identity makes a key pair once, prints its public line, and never the private half", async () => {
  assert.match(lines["a"]!, /^ed25519:[\w-]{43} name=\S+ may=read # [0-9a-f]{4}(-[0-9a-f]{4}){3}$/)
  assert.equal(await identityLine("a"), lines["a"])
  assert.notEqual(lines["b"], lines["a"])
  assert.equal(statSync(at("a")).mode & 0o777, 0o600)
  const { stdout } = await kvferry(["identity", "--file", at("a"), "--json"])
  const said = JSON.parse(stdout) as Record<string, string>
  assert.deepEqual(Object.keys(said).sort(), ["file", "fingerprint", "line", "publicKey"])
  assert.ok(lines["a"]!.startsWith(`${said["publicKey"]} `) && lines["a"]!.endsWith(said["fingerprint"]!))
})

test("two hosts that list each other's keys connect, and each says whom it met", async () => {
  const trust = trustFile("a.trust", lines["b"]!.replace(/name=\S+/, "name=host-b"))
  const { code, stdout, stderr } = await explainFrom("a", trust)
  assert.equal(code, 0, stderr)
  const key = lines["b"]!.split(" ")[0]
  assert.match(stdout, new RegExp(`trust +it proved the key ${key} \\([0-9a-f-]{19}, here called host-b\\)`))
  const json = await explainFrom("a", trust, "--json")
  const { how, publicKey, name } = (JSON.parse(json.stdout) as ExplainReport).trust
  assert.deepEqual({ how, publicKey, name }, { how: "key", publicKey: key, name: "host-b" })
})

test("a caller whose key is not listed is refused; it is told what it showed, and nothing of the other side", async () => {
  const { code, stderr } = await explainFrom("stranger", trustFile("s.trust", lines["b"]!))
  assert.equal(code, 3)
  assert.match(stderr, /did not accept our key ed25519:[\w-]{43} \([0-9a-f-]{19}\) \(KV_PEER_UNTRUSTED\)/)
  assert.match(stderr, /next: check that the trust file of the other side lists this key/)
  assert.equal(stderr.includes("b.trust"), false)
})

test("a listener whose key is not listed is refused by the caller, by key and file", async () => {
  const trust = trustFile("wrong.trust", lines["stranger"]!)
  const { code, stderr } = await explainFrom("a", trust)
  assert.equal(code, 3)
  assert.match(stderr, new RegExp(`showed the key ${lines["b"]!.split(" ")[0]}`))
  assert.match(stderr, new RegExp(`why: +${trust} does not list it`))
})

test("a cluster's secret is no key: each side says what it wants itself", async () => {
  const { code, stderr } = await kvferry(["explain", agent])
  assert.equal(code, 3)
  assert.match(stderr, /did not accept our proof of the cluster's secret \(KV_PEER_UNTRUSTED\)/)
})

test("a key that is withdrawn from the file is refused from the next handshake on, and one that is added let in", async () => {
  const trust = trustFile("again.trust", lines["b"]!)
  assert.equal((await explainFrom("a", trust)).code, 0)
  trustFile("b.trust", "# nobody")
  assert.match((await explainFrom("a", trust)).stderr, /did not accept our key/)
  trustFile("b.trust", lines["a"]!.replace("may=read", "may=none"))
  const none = await explainFrom("a", trust)
  assert.equal(none.code, 3)
  assert.match(none.stderr, /may not read from this agent/)
  trustFile("b.trust", lines["a"]!)
  assert.equal((await explainFrom("a", trust)).code, 0)
})

test("a trust file with a mistake, or one that others may write, stops a worker at its start, by line and cure", async () => {
  const start = (trust: string) =>
    kvferry(["worker", "--role", "decode", "--identity", at("a"), "--trust", trust])
  const bad = await start(trustFile("bad.trust", lines["b"]!, `${lines["a"]!.split(" ")[0]} may=raed`))
  assert.equal(bad.code, 2)
  assert.match(bad.stderr, /bad\.trust, line 2: may="raed" should be read, write/)
  const hostile = await start(trustFile("hostile.trust", "\u001b[2J\u202eyek"))
  assert.equal(hostile.code, 2)
  assert.match(hostile.stderr, /line 1: "\\u001b\[2J\\u202eyek" is no public key/)
  assert.equal(hostile.stderr.includes("\u001b"), false)
  const lone = await kvferry(["worker", "--role", "decode", "--identity", at("a")])
  assert.deepEqual([lone.code, /--trust/.test(lone.stderr)], [2, true])
})

test("the worker's own people hear who was not let in, and why", async () => {
  worker.child.kill("SIGTERM")
  const { stderr } = await worker.ended
  assert.match(stderr, /a caller was not let in: \S+ showed the key ed25519:[\w-]{43} \([0-9a-f-]{19}\)/)
  assert.ok(stderr.includes(`${at("b.trust")} does not list it`), stderr)
})
