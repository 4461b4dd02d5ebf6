import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { after, test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { PlanBuilder } from "../../plan/transfer-plan.ts"
import { createNixl } from "./nixl.ts"
import { needsNixl, nixlLibrary } from "./nixl-here.test.kit.ts"
import { startNixlPeer } from "./nixl-process.test.kit.ts"

const mib = 2 ** 20
const both = { read: true, write: true }
const folder = mkdtempSync(join(tmpdir(), "kvferry-nixl-"))
after(() => rmSync(folder, { recursive: true }))

/** NIXL's own library with some of its functions in another way: the rest of them is found behind it. */
function brokenLibrary(name: string, code: string): string {
  const source = join(folder, `${name}.c`)
  const file = join(folder, `${name}.so`)
  writeFileSync(source, code)
  const behind = ["-Wl,--no-as-needed", nixlLibrary!, `-Wl,-rpath,${dirname(nixlLibrary!)}`]
  const args = ["-shared", "-fPIC", "-o", file, source, ...behind]
  const { status, stderr } = spawnSync("cc", args, { encoding: "utf8" })
  assert.equal(status, 0, stderr)
  return file
}

const hasCompiler = spawnSync("cc", ["--version"]).status === 0
const needs = hasCompiler ? needsNixl : { skip: "no C compiler here to break NIXL's library with" }

const hangs =
  "#include <unistd.h>\nint nixl_capi_post_xfer_req(void *a, void *r, void *o) { for (;;) pause(); }\n"
const endless = `
int nixl_capi_post_xfer_req(void *a, void *r, void *o) { return 1; }
int nixl_capi_get_xfer_status(void *a, void *r) { return 1; }
`
const fails = "int nixl_capi_post_xfer_req(void *a, void *r, void *o) { return -2; }\n"

/** A read with a library of this kind; returns what it failed with, after how long, and its endpoint. */
async function readWith(library: string, millis: number) {
  const a = await createNixl({ library: nixlLibrary }).open({ host: "127.0.0.1", rails: 1 })
  const b = await createNixl({ library }).open({ host: "127.0.0.1", rails: 1 })
  const source = hostMemory.map(mib, "broken-a")
  const target = hostMemory.map(mib, "broken-b")
  const remote = [await a.register(3, source, both)]
  await b.register(0, target, both)
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  await a.admit(session, both)
  const deadline = performance.now() + 20_000
  const connection = await b.connect(session, a.address, { deadline, peerHost: "127.0.0.1", regions: remote })
  const plan = new PlanBuilder(1)
  plan.add(3, 0, 0, 0, mib, 0)
  const start = performance.now()
  const move = connection.move({
    direction: "read",
    plan: plan.finish(),
    remote,
    deadline: start + millis,
  })
  const error: unknown = await move.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof KvError, String(error))
  return {
    error,
    millis: performance.now() - start,
    b,
    connection,
    async close() {
      await b[Symbol.asyncDispose]()
      await a[Symbol.asyncDispose]()
    },
  }
}

test(
  "a NIXL whose transfers stay in progress for ever costs a deadline, and the connection",
  needs,
  async () => {
    const { error, millis, connection, close } = await readWith(brokenLibrary("endless", endless), 300)
    assert.equal(error.code, "KV_DEADLINE")
    assert.ok(millis < 5000, `${millis} ms`)
    assert.match((await connection.lost).message, /NIXL's agent of this side was ended/)
    await close()
  },
)

test(
  "a NIXL that fails a transfer is an error that names its status, and ends the connection",
  needs,
  async () => {
    const { error, connection, close } = await readWith(brokenLibrary("fails", fails), 20_000)
    assert.equal(error.code, "KV_PEER_LOST")
    assert.match(error.message, /NIXL_CAPI_ERROR_BACKEND/)
    await connection.lost
    await close()
  },
)

test("a NIXL that does not come back ends the endpoint, and the process can still end", needs, async () => {
  const library = brokenLibrary("hangs", hangs)
  const owner = await startNixlPeer(nixlLibrary!)
  const reader = await startNixlPeer(library)
  const remote = await owner.tell("register", { region: 3, byteLength: mib, access: both, value: 7 })
  await reader.tell("register", { region: 0, byteLength: mib, access: both, value: 1 })
  await owner.meet(reader, [remote], both)
  const start = performance.now()
  const order = { direction: "read", own: 0, remote, millis: 300, times: 1 } as const
  const stuck = (thrown: unknown): boolean => {
    assert.ok(thrown instanceof KvError)
    assert.equal(thrown.code, "KV_TRANSPORT_UNAVAILABLE")
    assert.match(thrown.message, /has not come back from nixl_capi_post_xfer_req.*do not use the memory/)
    return true
  }
  await assert.rejects(reader.tell("move", order), stuck)
  assert.ok(performance.now() - start < 5000)
  await assert.rejects(reader.tell("register", { region: 9, byteLength: mib, access: both, value: 1 }), stuck)
  await reader.tell("close", {})
  const gone = reader.tell("exit", { code: 5 }).catch(() => {})
  assert.equal(await reader.exited, 5)
  await gone
  await owner[Symbol.asyncDispose]()
})

test("a file that is no library of NIXL's is refused with its name", needs, async () => {
  const none = brokenLibrary("stub", "#include <stdbool.h>\nbool nixl_capi_is_stub(void) { return 1; }\n")
  const open = createNixl({ library: none }).open({ host: "127.0.0.1", rails: 1 })
  await assert.rejects(open, { code: "KV_TRANSPORT_UNAVAILABLE", message: /stub\.so is NIXL's stub/ })
  const other = createNixl({ library: "/lib/x86_64-linux-gnu/libc.so.6" }).open({
    host: "127.0.0.1",
    rails: 1,
  })
  await assert.rejects(other, { code: "KV_TRANSPORT_UNAVAILABLE", message: /nixl_capi_is_stub/ })
})

test("a backend that NIXL cannot open is refused with the plugins that are there", needs, async () => {
  const open = createNixl({ library: nixlLibrary, backends: ["CARRIER_PIGEON"] }).open({
    host: "127.0.0.1",
    rails: 1,
  })
  await assert.rejects(open, { code: "KV_TRANSPORT_UNAVAILABLE", message: /CARRIER_PIGEON.*plugins .*UCX/ })
})
