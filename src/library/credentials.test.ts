import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { makeIdentity } from "../trust/identity-file.ts"
import { credentialsFrom, KvError, type KvLayout, type Notice, openAgent, wholeModelLayout } from "./index.ts"

const layout: KvLayout = wholeModelLayout(
  { layers: 2, kvHeads: 2, headDim: 4, elementBytes: 4 },
  {
    order: "head-major",
    blockTokens: 4,
    blocks: 4,
  },
)

/** Two hosts' folders: an identity each, and a trust file with the other's line. */
function hosts(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-library-"))
  t.after(() => rmSync(folder, { recursive: true }))
  const [a, b] = ["a", "b"].map((name) => ({
    identity: join(folder, `${name}-identity`),
    trust: join(folder, `${name}-trust`),
  })) as [{ identity: string; trust: string }, { identity: string; trust: string }]
  const keys = [a, b].map(({ identity }) => makeIdentity(identity).publicKey)
  writeFileSync(a.trust, `${keys[1]} name=host-b may=none\n`, { mode: 0o600 })
  writeFileSync(b.trust, `${keys[0]} name=host-a may=read\n`, { mode: 0o600 })
  const secretFile = join(folder, "secret")
  writeFileSync(secretFile, "0123456789abcdef", { mode: 0o600 })
  return { a, b, secretFile }
}

const common = { paths: ["loopback"], movers: { threads: 1 } } as const

test("agents that were given files authenticate with them, and notices name the key by its line", async (t) => {
  const { a, b, secretFile } = hosts(t)
  const heard: Notice[] = []
  await using source = await openAgent({
    ...common,
    ...b,
    name: "b",
    onNotice: (notice) => heard.push(notice),
  })
  await using cache = await source.registerCache({ layout })
  await using target = await openAgent({ ...common, credentials: credentialsFrom(a), name: "a" })
  await using mine = await target.registerCache({ layout })
  const peer = await mine.connect(cache.address)
  peer.notify("hello")
  while (heard.length === 0) await new Promise(setImmediate)
  assert.deepEqual([heard[0]?.from, heard[0]?.name], ["a", "host-a"])
  await using stranger = await openAgent({ ...common, secretFile })
  await using theirs = await stranger.registerCache({ layout })
  await assert.rejects(theirs.connect(cache.address), (error) => {
    return error instanceof KvError && error.code === "KV_PEER_UNTRUSTED"
  })
})

test("credentials and files together, and files that cannot be used, are errors", async (t) => {
  const { a, secretFile } = hosts(t)
  const isUsage = (error: unknown): boolean => error instanceof KvError && error.code === "KV_USAGE"
  const credentials = { secret: new Uint8Array(32) }
  await assert.rejects(openAgent({ ...common, credentials, secretFile }), isUsage)
  await assert.rejects(openAgent({ ...common, credentials, trust: a.trust }), isUsage)
  await assert.rejects(openAgent({ ...common, identity: a.identity }), isUsage)
  await assert.rejects(openAgent({ ...common, trust: `${a.trust}-gone`, identity: a.identity }), isUsage)
})
