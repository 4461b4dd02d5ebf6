/** What shm leaves behind in a process: nothing. Each script runs in a process of its own. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runInChild } from "../../os/child.test.kit.ts"

const prelude = `
  import { readdirSync, readFileSync } from "node:fs"
  import { randomBytes } from "node:crypto"
  const { openCrew } = await ours("movers/thread-crew.js")
  const { createShm } = await ours("transport/shm/shm.js")
  const { hostMemory } = await ours("os/host-memory.js")
  const { PlanBuilder } = await ours("plan/transfer-plan.js")
  const crew = await openCrew({ threads: 1 })
  const shm = createShm({ crew })
  const both = { read: true, write: true }
  const [source, target] = [hostMemory.map(2 ** 20, "source"), hostMemory.map(2 ** 20, "target")]
  const counts = () => ({
    files: readdirSync("/proc/self/fd").length,
    mappings: readFileSync("/proc/self/maps", "utf8").split("\\n").filter((line) => line.includes("memfd:kvferry")).length,
    all: readFileSync("/proc/self/maps", "utf8").split("\\n").length,
  })
  const builder = new PlanBuilder(1)
  builder.add(3, 0, 0, 0, 2 ** 20, 0)
  const plan = builder.finish()
  const newSession = () => ({ id: randomBytes(16).toString("hex"), key: randomBytes(32) })
  const soon = () => performance.now() + 10000
`

test("200 connections, one after the other, leave no file and no mapping", async () => {
  const ended = await runInChild(`${prelude}
    const [a, b] = [await shm.open({}), await shm.open({})]
    const lent = await a.register(3, source, both)
    await b.register(0, target, both)
    const round = async () => {
      const session = newSession()
      await a.admit(session, both)
      const connection = await b.connect(session, a.address, { deadline: soon(), peerHost: "", regions: [lent] })
      await connection.move({ direction: "read", plan, remote: [lent], deadline: soon() })
      if (Math.random() < 0.5) await connection[Symbol.asyncDispose]()
      await a.dismiss(session.id)
      await connection[Symbol.asyncDispose]()
    }
    for (let i = 0; i < 20; i++) await round()
    const before = counts()
    for (let i = 0; i < 200; i++) await round()
    await new Promise((resolve) => setTimeout(resolve, 20))
    console.log(JSON.stringify({ before, after: counts(), lenders: a.lenders.size }))
    process.exit(0)
  `)
  const { before, after, lenders } = JSON.parse(ended.stdout || ended.stderr) as {
    before: Record<string, number>
    after: Record<string, number>
    lenders: number
  }
  assert.deepEqual(
    { files: after["files"], mappings: after["mappings"], lenders },
    { files: before["files"], mappings: before["mappings"], lenders: 0 },
  )
  // V8's own heap comes and goes; 200 of ours would show.
  assert.ok(after["all"]! < before["all"]! + 100, JSON.stringify({ before, after }))
})

test("200 endpoints, one after the other, leave no file and no mapping", async () => {
  const ended = await runInChild(`${prelude}
    const round = async () => {
      const [a, b] = [await shm.open({}), await shm.open({})]
      const lent = await a.register(3, source, both)
      await b.register(0, target, both)
      const session = newSession()
      await a.admit(session, both)
      await b.connect(session, a.address, { deadline: soon(), peerHost: "", regions: [lent] })
      await Promise.all([a[Symbol.asyncDispose](), b[Symbol.asyncDispose]()])
    }
    for (let i = 0; i < 20; i++) await round()
    const before = counts()
    for (let i = 0; i < 200; i++) await round()
    console.log(JSON.stringify({ before, after: counts() }))
    process.exit(0)
  `)
  const { before, after } = JSON.parse(ended.stdout || ended.stderr) as Record<string, Record<string, number>>
  assert.deepEqual([after!["files"], after!["mappings"]], [before!["files"], before!["mappings"]])
})

test("a process that has closed its endpoints ends by itself", async () => {
  const ended = await runInChild(`${prelude}
    const [a, b] = [await shm.open({}), await shm.open({})]
    const lent = await a.register(3, source, both)
    const session = newSession()
    await a.admit(session, both)
    await b.connect(session, a.address, { deadline: soon(), peerHost: "", regions: [lent] })
    await Promise.all([a[Symbol.asyncDispose](), a[Symbol.asyncDispose]()])
    await b[Symbol.asyncDispose]()
    await crew[Symbol.asyncDispose]()
    console.log("closed")
  `)
  assert.deepEqual({ code: ended.code, stdout: ended.stdout }, { code: 0, stdout: "closed\n" }, ended.stderr)
  assert.ok(ended.lingeredMillis < 1000, `${ended.lingeredMillis} ms`)
})

test("an endpoint without free descriptors is an error, and costs none", async () => {
  const ended = await runInChild(`${prelude}
    import { closeSync, openSync } from "node:fs"
    import { spawnSync } from "node:child_process"
    if (process.argv[2] !== "starved") {
      const args = ["-c", 'ulimit -n 80; exec "$0" "$1" starved', process.execPath, process.argv[1]]
      const { stdout, stderr } = spawnSync("sh", args)
      process.stdout.write(stdout)
      process.stderr.write(stderr)
      process.exit(0)
    }
    const a = await shm.open({})
    const lent = await a.register(3, source, both)
    const session = newSession()
    await a.admit(session, both)
    const attempt = (action) => action().then(() => "done", (error) => error.code)
    const files = []
    try { for (;;) files.push(openSync("/dev/null", "r")) } catch {}
    const opened = await attempt(() => shm.open({}))
    const connected = await attempt(() => a.connect(session, a.address, { deadline: performance.now() + 300, peerHost: "", regions: [lent] }))
    for (const file of files) closeSync(file)
    const before = counts().files
    const again = await attempt(async () => {
      const connection = await a.connect(session, a.address, { deadline: soon(), peerHost: "", regions: [lent] })
      await connection[Symbol.asyncDispose]()
    })
    await new Promise((resolve) => setTimeout(resolve, 50))
    console.log(JSON.stringify({ opened, connected, again, more: counts().files - before }))
    process.exit(0)
  `)
  assert.deepEqual(JSON.parse(ended.stdout || ended.stderr), {
    opened: "KV_OS",
    connected: "KV_OS",
    again: "done",
    more: 0,
  })
})
