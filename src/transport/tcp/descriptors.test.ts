/** A process that runs out of file descriptors: each call ends with a typed error, and what works goes on working. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runInChild } from "../../os/child.test.kit.ts"

/** Runs `script` in a process with at most 120 descriptors; `leave(n)` takes all but n of them, `giveBack()` returns them. */
async function starved(script: string): Promise<unknown> {
  const { code, signal, stdout, stderr } = await runInChild(`
    import { spawnSync } from "node:child_process"
    import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs"
    if (process.argv[2] !== "starved") {
      const args = ["-c", 'ulimit -n 120; exec "$0" "$1" starved', process.execPath, process.argv[1]]
      const { status, signal } = spawnSync("sh", args, { stdio: "inherit" })
      process.exit(status ?? (console.error(signal), 99))
    }
    const { tcp } = await ours("transport/tcp/tcp.js")
    const { hostMemory } = await ours("os/host-memory.js")
    const { PlanBuilder } = await ours("plan/transfer-plan.js")
    const files = []
    const leave = (count) => {
      try { for (;;) files.push(openSync("/dev/null", "r")) } catch {}
      for (let i = 0; i < count; i++) closeSync(files.pop())
    }
    const giveBack = () => { for (const file of files.splice(0)) closeSync(file) }
    const outcome = (promise) => promise.then(() => "done", (error) => error.code)
    // Node itself leaves the event poll of a thread that it could not start, and the module that a thread was reading when it ended.
    const nodes = /eventpoll|[.]js$/
    const mine = () => readdirSync("/proc/self/fd").filter((fd) => {
      try { return !nodes.test(readlinkSync("/proc/self/fd/" + fd)) } catch { return false }
    }).length
    // What threads and the other end hold is closed a moment later.
    const downTo = async (count) => {
      for (let turn = 0; turn < 500 && mine() > count; turn++) await new Promise((resolve) => setTimeout(resolve, 10))
      return mine() - count
    }
    ${script}
  `)
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, stderr)
  return JSON.parse(stdout)
}

test("opening an endpoint with too few descriptors is a typed error, whichever it was that was missing, and leaks none", async () => {
  const seen = await starved(`
    await (await tcp.open({ host: "127.0.0.1", rails: 1 }))[Symbol.asyncDispose]()
    const before = mine()
    const codes = new Set()
    for (let free = 0; free < 24; free++) {
      leave(free)
      let endpoint
      codes.add(await outcome(tcp.open({ host: "127.0.0.1", rails: 1 }).then((opened) => { endpoint = opened })))
      giveBack()
      await endpoint?.[Symbol.asyncDispose]()
    }
    console.log(JSON.stringify({ codes: [...codes].sort(), more: await downTo(before) }))
  `)
  assert.deepEqual(seen, { codes: ["KV_OS", "KV_TRANSPORT_UNAVAILABLE", "done"], more: 0 })
})

test("connecting without a descriptor is KV_OS and leaks none; connections that are up go on, and later ones work", async () => {
  const seen = await starved(`
    const both = { read: true, write: true }
    const session = { id: "00".repeat(16), key: new Uint8Array(32) }
    const [a, b] = [await tcp.open({ host: "127.0.0.1", rails: 1 }), await tcp.open({ host: "127.0.0.1", rails: 1 })]
    const [source, target] = [hostMemory.map(2 ** 20, "a"), hostMemory.map(2 ** 20, "b")]
    const remote = [await a.register(0, source, both)]
    await b.register(0, target, both)
    await a.admit(session, both)
    const reach = () => b.connect(session, a.address, { deadline: performance.now() + 500, peerHost: "127.0.0.1" })
    const visit = async () => await (await reach())[Symbol.asyncDispose]()
    const read = (connection, bytes) => {
      const builder = new PlanBuilder(1)
      builder.add(0, 0, 0, 0, bytes, 0)
      const move = { direction: "read", plan: builder.finish(), remote, deadline: performance.now() + 5000 }
      return outcome(connection.move(move))
    }
    const up = await reach()
    const before = mine()
    const found = []
    for (const free of [0, 1, 2, 3, 4]) {
      leave(free)
      found.push([free, await outcome(visit()), await read(up, 4096), await read(up, 2 ** 20)])
      giveBack()
      found.at(-1).push(await downTo(before))
    }
    const later = await reach()
    console.log(JSON.stringify({ found, later: [await read(later, 4096), await read(later, 2 ** 20)] }))
    process.exit(0)
  `)
  const { found, later } = seen as { found: [number, string, string, string, number][]; later: string[] }
  assert.deepEqual(later, ["done", "done"])
  for (const [free, reached, small, large, more] of found) {
    // A connection takes four here, where both its ends are. With two or three, our own socket is there and the listener
    // lacks its own: nobody answers. What a thread of Node's closes meanwhile may make one more.
    const allowed = free === 0 ? ["KV_OS"] : free === 4 ? ["done"] : ["KV_OS", "KV_DEADLINE", "done"]
    assert.ok(allowed.includes(reached), `${free} free: ${reached}`)
    assert.deepEqual({ free, small, large, more }, { free, small: "done", large: "done", more: 0 })
  }
})
