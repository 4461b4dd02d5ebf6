import assert from "node:assert/strict"
import { test } from "node:test"
import { type Ended, runInChild } from "../../os/child.test.kit.ts"

/** A thread that blocks in a native call must not hold the process: it ends soon after its last word. */
function assertEndedSoon(ended: Ended, code: number): void {
  assert.deepEqual({ code: ended.code, signal: ended.signal }, { code, signal: null }, ended.stderr)
  assert.ok(ended.lingeredMillis < 2000, `it lingered for ${Math.round(ended.lingeredMillis)} ms`)
}

/** Two endpoints with two rails each, connected: every mover blocks in poll. */
const connectedBy = (encryption: string): string => `
  const { createTcp } = await ours("transport/tcp/tcp.js")
  const tcp = createTcp({ encryption: "${encryption}" })
  const [a, b] = [await tcp.open({ host: "127.0.0.1", rails: 2 }), await tcp.open({ host: "127.0.0.1", rails: 2 })]
  const session = { id: "00".repeat(16), key: new Uint8Array(32) }
  await a.admit(session, { read: true, write: false })
  await b.connect(session, a.address, { deadline: performance.now() + 5000, peerHost: "127.0.0.1" })
  await new Promise((resolve) => setTimeout(resolve, 20))
`
const connected = connectedBy("none")

test("process.exit() with open tcp endpoints ends the process at once", async () => {
  assertEndedSoon(await runInChild(`${connected}; console.log("exiting"); process.exit(7)`), 7)
})

test("an uncaught exception with open tcp endpoints ends the process at once", async () => {
  const ended = await runInChild(
    `${connected}; setImmediate(() => { console.log("throwing"); throw new Error("on purpose") })`,
  )
  assertEndedSoon(ended, 1)
  assert.match(ended.stderr, /on purpose/)
})

test("process.exit() while a tcp endpoint is being opened ends the process at once", async () => {
  const ended = await runInChild(`
    import { Worker } from "node:worker_threads"
    const { tcp } = await ours("transport/tcp/tcp.js")
    // The mover says that it listens, and blocks. Whoever hears that first leaves before the endpoint is there.
    const emit = Worker.prototype.emit
    Worker.prototype.emit = function (name, ...rest) {
      if (name !== "message") return emit.call(this, name, ...rest)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
      console.log("exiting")
      process.exit(5)
    }
    await tcp.open({ host: "127.0.0.1", rails: 1 })
  `)
  assertEndedSoon(ended, 5)
})

test("with TLS: process.exit() ends the process at once, and a process that has closed its endpoints ends by itself", async () => {
  const tls = connectedBy("tls")
  assertEndedSoon(await runInChild(`${tls}; console.log("exiting"); process.exit(7)`), 7)
  const close = "await Promise.all([a, a, b].map((one) => one[Symbol.asyncDispose]()))"
  assertEndedSoon(await runInChild(`${tls}; ${close}; console.log("closed")`), 0)
})

test("a process that has closed its tcp endpoints ends by itself", async () => {
  const ended = await runInChild(`
    ${connected}
    await Promise.all([a[Symbol.asyncDispose](), a[Symbol.asyncDispose]()])
    await b[Symbol.asyncDispose]()
    console.log("closed")
  `)
  assertEndedSoon(ended, 0)
})

test("closing an endpoint twice closes no descriptor of somebody else", async () => {
  const ended = await runInChild(`
    import { openSync, fstatSync } from "node:fs"
    const { tcp } = await ours("transport/tcp/tcp.js")
    const endpoint = await tcp.open({ host: "127.0.0.1", rails: 3 })
    await endpoint[Symbol.asyncDispose]()
    // These take the numbers that the endpoint's descriptors had.
    const files = Array.from({ length: 32 }, () => openSync("/dev/null", "r"))
    await endpoint[Symbol.asyncDispose]()
    let open = 0
    for (const file of files) { try { fstatSync(file); open += 1 } catch {} }
    console.log(open)
  `)
  assertEndedSoon(ended, 0)
  assert.equal(ended.stdout.trim(), "32")
})

test("an endpoint that cannot listen is an error, and costs no descriptor", async () => {
  const ended = await runInChild(`
    import { readdirSync } from "node:fs"
    const { tcp } = await ours("transport/tcp/tcp.js")
    const attempt = () => tcp.open({ host: "203.0.113.7", rails: 1 }).then(() => "opened", (error) => error.code)
    await attempt()
    const before = readdirSync("/proc/self/fd").length
    const codes = [await attempt(), await attempt(), await attempt()]
    console.log(JSON.stringify({ codes, more: readdirSync("/proc/self/fd").length - before }))
  `)
  assertEndedSoon(ended, 0)
  assert.deepEqual(JSON.parse(ended.stdout), { codes: ["KV_OS", "KV_OS", "KV_OS"], more: 0 })
})

test("a process without a free descriptor waits for one: it does not spin, and lets the caller in then", async () => {
  const ended = await runInChild(`
    import { spawn } from "node:child_process"
    import { closeSync, openSync } from "node:fs"
    import { createConnection } from "node:net"
    if (process.argv[2] !== "starved") {
      const args = ["-c", 'ulimit -n 200; exec "$0" "$1" starved', process.execPath, process.argv[1]]
      const child = spawn("sh", args, { stdio: ["pipe", "pipe", "inherit"] })
      let said = ""
      child.stdout.on("data", (chunk) => {
        said += chunk
        const port = /port (\\d+)\\n/.exec(said)?.[1]
        if (port === undefined || child.socket !== undefined) return
        child.socket = createConnection(Number(port), "127.0.0.1")
        child.socket.on("connect", () => child.stdin.write("called"))
        child.socket.on("error", () => {})
        child.socket.once("data", (greeting) => child.stdin.write("greeted " + greeting.length))
      })
      child.on("exit", (code) => { console.log(said.split("\\n").at(-2)); process.exit(code ?? 1) })
    } else {
      const { tcp } = await ours("transport/tcp/tcp.js")
      const endpoint = await tcp.open({ host: "127.0.0.1", rails: 1 })
      const heard = (word) => new Promise((resolve) => {
        let text = ""
        process.stdin.on("data", (chunk) => { text += chunk; if (text.includes(word)) resolve() })
      })
      const called = heard("called")
      const greeted = heard("greeted 32")
      console.log("port " + endpoint.address.ports[0])
      const files = []
      try { for (;;) files.push(openSync("/dev/null", "r")) } catch {}
      await called
      const before = process.cpuUsage()
      await new Promise((resolve) => setTimeout(resolve, 400))
      const { user, system } = process.cpuUsage(before)
      for (const file of files) closeSync(file)
      await greeted
      console.log(Math.round((user + system) / 1000))
      process.exit(0)
    }
  `)
  assertEndedSoon(ended, 0)
  assert.ok(Number(ended.stdout.trim()) < 150, `${ended.stdout.trim()} ms of computing in 400 ms of waiting`)
})
