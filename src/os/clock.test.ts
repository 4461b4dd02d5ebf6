import assert from "node:assert/strict"
import { test } from "node:test"
import { runInChild } from "./child.test.kit.ts"
import { monotonicClock } from "./clock.ts"

test("a timer fires not before its time, once, and not when it was cancelled", async () => {
  // The clock's own timers keep no process alive; this one does.
  const keepAlive = setTimeout(() => {}, 10_000)
  const startedAt = monotonicClock.now()
  let fired = 0
  const cancel = monotonicClock.after(1, () => assert.fail("a cancelled timer fired"))
  cancel()
  await new Promise<void>((resolve) => {
    monotonicClock.after(20, () => {
      fired += 1
      resolve()
    })
  })
  clearTimeout(keepAlive)
  assert.equal(fired, 1)
  assert.ok(monotonicClock.now() - startedAt >= 19)
})

test("a span longer than a timer of Node can wait is long, not over at once", async () => {
  const { code, stdout, stderr } = await runInChild(`
    const { monotonicClock } = await ours("os/clock.js")
    let fired = 0
    for (const millis of [2 ** 31, 2 ** 40, Infinity]) monotonicClock.after(millis, () => { fired += 1 })
    await new Promise((resolve) => setTimeout(resolve, 50))
    console.log(fired)
  `)
  assert.equal(code, 0, stderr)
  assert.equal(stdout.trim(), "0")
})

test("a timer keeps no process alive", async () => {
  const { code, lingeredMillis } = await runInChild(`
    const { monotonicClock } = await ours("os/clock.js")
    monotonicClock.after(60_000, () => {})
    console.log("done")
  `)
  assert.equal(code, 0)
  assert.ok(lingeredMillis < 2000)
})
