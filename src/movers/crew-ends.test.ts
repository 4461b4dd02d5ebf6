import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { test } from "node:test"
import { runInChild } from "../os/child.test.kit.ts"
import { CopyRig, type Run, soon } from "./runs.test.kit.ts"
import { openCrew } from "./thread-crew.ts"

const mib = 2 ** 20
const size = 48 * mib
const everything: Run[] = [[0, 0, size]]

/** Repeats what races with its own end until the end wins; on a fast day it may have finished first. */
async function untilRejected(attempt: () => Promise<unknown>): Promise<string> {
  for (let tries = 0; tries < 100; tries++) {
    try {
      await attempt()
    } catch (thrown) {
      return (thrown as { code: string }).code
    }
  }
  return assert.fail("100 attempts all finished before they could be stopped")
}

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** Fills the target and looks whether anybody writes into it afterwards. */
async function assertLeftAlone(rig: CopyRig): Promise<void> {
  const view = rig.target.view(0, size)
  view.fill(0x11)
  await pause(30)
  assert.equal(
    view.findIndex((byte) => byte !== 0x11),
    -1,
  )
}

test("a cancelled copy has stopped when it rejects, and can be posted again", async () => {
  await using crew = await openCrew({ threads: 2 })
  using rig = new CopyRig(size)
  await using job = crew.prepareCopy(rig.runs(everything))
  const code = await untilRejected(() => {
    const abort = new AbortController()
    setImmediate(() => abort.abort())
    return job.post({ deadline: soon(), signal: abort.signal })
  })
  assert.equal(code, "KV_CANCELLED")
  await assertLeftAlone(rig)
  await job.post({ deadline: soon() })
  rig.assertCopied(everything)
})

test("a deadline ends a copy in its midst, and one that has passed before its first byte", async () => {
  await using crew = await openCrew({ threads: 1 })
  using rig = new CopyRig(size)
  await using job = crew.prepareCopy(rig.runs(everything))
  assert.equal(await untilRejected(() => job.post({ deadline: performance.now() + 1 })), "KV_DEADLINE")
  await assertLeftAlone(rig)
  await assert.rejects(job.post({ deadline: performance.now() - 1 }), { code: "KV_DEADLINE" })
  await assert.rejects(job.post({ deadline: soon(), signal: AbortSignal.abort() }), { code: "KV_CANCELLED" })
  await assertLeftAlone(rig)
})

test("copies that wait behind a large one end at their own cancel, not after it", async () => {
  await using crew = await openCrew({ threads: 1, inlineBytesMax: 0 })
  using rig = new CopyRig(size)
  await using large = crew.prepareCopy(rig.runs([[0, 0, size - mib]]))
  await using small = crew.prepareCopy(rig.runs([[size - mib, size - mib, 100]]))
  const order: string[] = []
  const first = large.post({ deadline: soon() }).then(() => order.push("large"))
  const abort = new AbortController()
  const second = small.post({ deadline: soon(), signal: abort.signal }).catch((error: { code: string }) => {
    order.push(error.code)
  })
  abort.abort()
  await Promise.all([first, second])
  assert.deepEqual(order, ["KV_CANCELLED", "large"])
})

test("a crew that is closed at work ends its copies first, and takes no more", async () => {
  using rig = new CopyRig(size)
  const code = await untilRejected(async () => {
    const crew = await openCrew({ threads: 2 })
    const job = crew.prepareCopy(rig.runs(everything))
    const posted = job.post({ deadline: soon() })
    await Promise.all([posted, crew[Symbol.asyncDispose]()])
  })
  assert.equal(code, "KV_CANCELLED")
  await assertLeftAlone(rig)
  const closed = await openCrew({ threads: 1 })
  await closed[Symbol.asyncDispose]()
  await closed[Symbol.asyncDispose]()
  assert.throws(() => closed.prepareCopy(rig.runs(everything)), { code: "KV_USAGE" })
})

test("a job may be disposed of at work: it ends first", async () => {
  await using crew = await openCrew({ threads: 1 })
  using rig = new CopyRig(size)
  const job = crew.prepareCopy(rig.runs(everything))
  const posted = job.post({ deadline: soon() })
  await job[Symbol.asyncDispose]()
  await posted
  rig.assertCopied(everything)
  await assert.rejects(job.post({ deadline: soon() }), { code: "KV_USAGE" })
})

test("a process that is gone is a lost peer, and an address that it has not is an error, not a crash", async () => {
  for (const options of [{ threads: 1 }, { threads: 1, inlineBytesMax: 0 }]) {
    await using crew = await openCrew(options)
    using rig = new CopyRig(mib)
    const local = rig.runs([
      [0, 0, 1000],
      [5000, 5000, 1000],
    ])
    const child = spawn(process.execPath, ["-e", ""], { stdio: "ignore" })
    await new Promise((resolve) => child.once("exit", resolve))
    await using dead = crew.prepareCopy({ ...local, remote: { pid: child.pid!, side: "source" } })
    await assert.rejects(dead.post({ deadline: soon() }), { code: "KV_PEER_LOST" })

    const wrong = { ...local, sourceAddress: Float64Array.of(local.sourceAddress[0]!, 4096) }
    await using bad = crew.prepareCopy({ ...wrong, remote: { pid: process.pid, side: "source" } })
    await assert.rejects(bad.post({ deadline: soon() }), (error: { code: string; message: string }) => {
      assert.equal(error.code, "KV_OS")
      assert.match(error.message, /run 1 of .* EFAULT/)
      return true
    })
    rig.assertCopied([[0, 0, 1000]])

    for (const side of ["source", "target"] as const) {
      rig.poison()
      await using good = crew.prepareCopy({ ...local, remote: { pid: process.pid, side } })
      await good.post({ deadline: soon() })
      rig.assertCopied([
        [0, 0, 1000],
        [5000, 5000, 1000],
      ])
    }
  }
})

test("a number of threads that makes no sense is refused", async () => {
  for (const threads of [0, -1, 1.5, 65, Number.NaN]) {
    await assert.rejects(openCrew({ threads }), { code: "KV_USAGE" })
  }
})

test("a thread that dies fails what was posted with an error that says so, and the crew takes no more", async () => {
  const { code, stdout, stderr } = await runInChild(`
    const { openCrew } = await ours("movers/thread-crew.js")
    const { hostMemory } = await ours("os/host-memory.js")
    const crew = await openCrew({ threads: 2, inlineBytesMax: 0 })
    const span = hostMemory.map(2 ** 20, "x")
    // A unit outside its span is a broken invariant: the thread that hashes it does not survive.
    const at = span.addressOf(0, 8192)
    const lying = { byteLength: 100, addressOf: () => at }
    const hashes = { count: 1, run: Uint32Array.of(0), span: Uint32Array.of(0),
      offset: Float64Array.of(0), length: Uint32Array.of(4096), seed: BigUint64Array.of(0n) }
    const runs = { count: 1, bytes: 4096, sourceAddress: Float64Array.of(at + 4096), targetAddress: Float64Array.of(at),
      length: Uint32Array.of(4096), hashes, spans: [lying] }
    const job = crew.prepareCopy(runs)
    const first = await job.post({ deadline: Infinity }).catch((error) => error)
    let second
    try { crew.prepareCopy({ ...runs, hashes: undefined }) } catch (error) { second = error }
    await crew[Symbol.asyncDispose]()
    console.log(JSON.stringify([first.code, first.message, second?.code]))
  `)
  assert.equal(code, 0, stderr)
  const [first, message, second] = JSON.parse(stdout) as string[]
  assert.deepEqual([first, second], ["KV_TRANSPORT_UNAVAILABLE", "KV_TRANSPORT_UNAVAILABLE"])
  assert.match(message!, /thread \d of 2 .* ended/)
})

test("a crew without work uses no processor time and keeps no process alive", async () => {
  const { code, stdout, stderr, lingeredMillis } = await runInChild(`
    const { openCrew } = await ours("movers/thread-crew.js")
    const { hostMemory } = await ours("os/host-memory.js")
    const crew = await openCrew({ threads: 4, inlineBytesMax: 0 })
    const span = hostMemory.map(2 ** 24, "x")
    const job = crew.prepareCopy({ count: 1, bytes: 2 ** 22, sourceAddress: Float64Array.of(span.addressOf(0, 2 ** 22)),
      targetAddress: Float64Array.of(span.addressOf(2 ** 23, 2 ** 22)), length: Uint32Array.of(2 ** 22) })
    for (let i = 0; i < 20; i++) await job.post({ deadline: Infinity })
    await new Promise((resolve) => setTimeout(resolve, 200))
    const before = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const { user, system } = process.cpuUsage(before)
    console.log((user + system) / 1000)
  `)
  assert.equal(code, 0, stderr)
  assert.ok(Number(stdout) < 50, `${stdout.trim()} ms of processor time in an idle second`)
  assert.ok(lingeredMillis < 3000, `it lingered for ${lingeredMillis} ms`)
})

test("a process ends at once while its crew is at work: by exit, by an exception, or because main has nothing to do", async () => {
  const open = `
    const { openCrew } = await ours("movers/thread-crew.js")
    const { hostMemory } = await ours("os/host-memory.js")
    const crew = await openCrew({ threads: 2 })
    const [a, b] = [hostMemory.map(2 ** 28, "a"), hostMemory.map(2 ** 28, "b")]
    const job = crew.prepareCopy({ count: 1, bytes: 2 ** 28, sourceAddress: Float64Array.of(a.addressOf(0, 2 ** 28)),
      targetAddress: Float64Array.of(b.addressOf(0, 2 ** 28)), length: Uint32Array.of(2 ** 28) })
    const posted = job.post({ deadline: Infinity })
  `
  const exit = await runInChild(`${open}; setImmediate(() => { console.log("bye"); process.exit(7) })`)
  assert.deepEqual([exit.code, exit.signal], [7, null], exit.stderr)
  assert.ok(exit.lingeredMillis < 3000)
  const thrown = await runInChild(
    `${open}; setImmediate(() => { console.log("bye"); throw new Error("on purpose") })`,
  )
  assert.deepEqual([thrown.code, thrown.signal], [1, null], thrown.stderr)
  assert.ok(thrown.lingeredMillis < 3000)
  const finished = await runInChild(
    `${open}; console.log((await posted).bytesByThread.reduce((a, b) => a + b, 0))`,
  )
  assert.deepEqual([finished.code, finished.stdout.trim()], [0, String(2 ** 28)], finished.stderr)
})
