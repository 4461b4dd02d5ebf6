import assert from "node:assert/strict"
import { test } from "node:test"
import { FakeClock } from "./in-memory.test.kit.ts"
import { isKv } from "./scripted.test.kit.ts"
import { untilOver } from "./until-over.ts"

const never = new Promise<number>(() => {})
const signalOf = (abort: AbortController) => ({ deadline: 1100, signal: abort.signal })

test("what comes in time comes through, and what fails fails with its own reason", async () => {
  const clock = new FakeClock()
  const waiter = signalOf(new AbortController())
  assert.equal(await untilOver(Promise.resolve(7), waiter, clock, "it"), 7)
  await assert.rejects(untilOver(Promise.reject(new Error("torn")), waiter, clock, "it"), /torn/)
  assert.equal(clock.waiting, 0)
})

test("a wait ends at the deadline, also at one that has passed", async () => {
  const clock = new FakeClock()
  for (const millis of [100, 0]) {
    const ended = assert.rejects(
      untilOver(never, signalOf(new AbortController()), clock, "a hash"),
      isKv("KV_DEADLINE"),
    )
    clock.advance(millis)
    await ended
  }
})

test("a cancel ends the wait, also one that came before it", async () => {
  const clock = new FakeClock()
  const abort = new AbortController()
  const ended = assert.rejects(untilOver(never, signalOf(abort), clock, "a hash"), isKv("KV_CANCELLED"))
  abort.abort()
  await ended
  await assert.rejects(untilOver(never, signalOf(abort), clock, "a hash"), isKv("KV_CANCELLED"))
  assert.equal(clock.waiting, 0)
})
