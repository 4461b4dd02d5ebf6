import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { type ControlMessage, noCall } from "../wire/control-messages.ts"
import { Calls, callsMax } from "./calls.ts"
import { MessageChannel } from "./channel.ts"
import { delivered, FakeClock, openPipe } from "./in-memory.test.kit.ts"
import { grantedOf, isKv, leaseA, leaseB } from "./scripted.test.kit.ts"

interface Rig {
  readonly clock: FakeClock
  readonly calls: Calls
  readonly heard: ControlMessage[]
  take(message: ControlMessage): KvError | undefined
  claim(lease?: string, options?: { deadline?: number; signal?: AbortSignal }): Promise<unknown>
}

function openCalls(): Rig {
  const clock = new FakeClock()
  const [end, other] = openPipe()
  const heard: ControlMessage[] = []
  new MessageChannel(other).listen(
    ({ message }) => heard.push(message),
    () => {},
  )
  const calls = new Calls(new MessageChannel(end), clock, "theirs")
  return {
    clock,
    calls,
    heard,
    take: (message) => calls.take(message, new Uint8Array(0)),
    claim: (lease = leaseA, { deadline = clock.now() + 100, signal } = {}) =>
      calls.ask((call) => ({ type: "claim", call, lease }), "granted", { deadline, signal }),
  }
}

test("an answer finds the question that it belongs to, in whatever order answers come", async () => {
  const { claim, take, heard, clock } = openCalls()
  const [first, second] = [claim(leaseA), claim(leaseB)]
  await delivered()
  assert.deepEqual(heard, [
    { type: "claim", call: 1, lease: leaseA },
    { type: "claim", call: 2, lease: leaseB },
  ])
  take(grantedOf(2, { tokens: 7, blocks: [4], epochs: [0] }))
  take(grantedOf(1))
  const tokens = (answer: unknown): unknown => (answer as { message: { tokens: number } }).message.tokens
  assert.deepEqual([tokens(await first), tokens(await second)], [20, 7])
  assert.equal(clock.waiting, 0, "no timer is left")
})

test("a question that is not answered ends at its deadline, and an answer after it harms nothing", async () => {
  for (const late of [
    grantedOf(1),
    { type: "released", call: 1 },
    { type: "refused", call: 1, error: { code: "KV_LEASE_UNKNOWN", what: "too late" } },
  ] as const) {
    const { claim, take, clock } = openCalls()
    const ended = assert.rejects(claim(), isKv("KV_DEADLINE"))
    clock.advance(99)
    clock.advance(1)
    await ended
    assert.equal(take(late), undefined, `a late "${late.type}" is no fault of the peer`)
    assert.equal(clock.waiting, 0)
  }
})

test("a deadline that has passed already is one", async () => {
  const { claim, clock } = openCalls()
  const ended = assert.rejects(claim(leaseA, { deadline: clock.now() - 5 }), isKv("KV_DEADLINE"))
  clock.advance(0)
  await ended
})

test("a question can be cancelled while the peer is silent, and before it is asked", async () => {
  const { claim, take, heard, clock } = openCalls()
  const abort = new AbortController()
  const cancelled = assert.rejects(claim(leaseA, { signal: abort.signal }), isKv("KV_CANCELLED"))
  abort.abort()
  await cancelled
  await assert.rejects(claim(leaseB, { signal: AbortSignal.abort() }), isKv("KV_CANCELLED"))
  assert.equal(take(grantedOf(1)), undefined)
  await delivered()
  assert.equal(heard.length, 1, "what was cancelled before was never asked")
  assert.equal(clock.waiting, 0)
})

test("a refusal ends its own question with the peer's code and words, and no other", async () => {
  const { claim, take } = openCalls()
  const [first, second] = [claim(leaseA), claim(leaseB)]
  const refused = assert.rejects(first, isKv("KV_LEASE_UNKNOWN"))
  take({ type: "refused", call: 1, error: { code: "KV_LEASE_UNKNOWN", what: "it has expired" } })
  await refused
  take(grantedOf(2))
  await second
})

test("a refusal of no question, and a message that is no answer, end the relation", () => {
  const { take } = openCalls()
  assert.equal(
    take({ type: "refused", call: noCall, error: { code: "KV_LIMIT", what: "full" } })?.code,
    "KV_LIMIT",
  )
  assert.equal(take({ type: "notify", text: "psst" })?.code, "KV_WIRE_INVALID")
})

test("an answer of the wrong kind ends its question, not the relation", async () => {
  const { claim, take, clock } = openCalls()
  const wrong = assert.rejects(claim(), isKv("KV_WIRE_INVALID"))
  assert.equal(take({ type: "released", call: 1 }), undefined)
  await wrong
  assert.equal(clock.waiting, 0)
})

test("when the peer is gone every question ends with the first reason, and so do those to come", async () => {
  const { claim, calls, clock } = openCalls()
  const waiting = [claim(leaseA), claim(leaseB)].map((asked) => assert.rejects(asked, /a cable was cut/))
  calls.end(new KvError("KV_PEER_LOST", { what: "a cable was cut" }))
  calls.end(new KvError("KV_PEER_LOST", { what: "said later" }))
  await Promise.all(waiting)
  await assert.rejects(claim(), /a cable was cut/)
  assert.equal(clock.waiting, 0)
})

test("questions that wait are counted: one more than the limit is refused, and one that ended makes room", async () => {
  const { claim, clock } = openCalls()
  const waiting = Array.from({ length: callsMax }, () => claim())
  await assert.rejects(claim(), isKv("KV_LIMIT"))
  const ended = Promise.allSettled(waiting)
  clock.advance(100)
  await ended
  const next = assert.rejects(claim(), isKv("KV_DEADLINE"))
  clock.advance(100)
  await next
})

test("a question that no frame can hold ends at once, and leaves neither timer nor place taken", async () => {
  const { calls, clock } = openCalls()
  const lease = "x".repeat(2 ** 22)
  const asked = calls.ask((call) => ({ type: "claim", call, lease }), "granted", { deadline: 1e9 })
  await assert.rejects(asked, isKv("KV_LIMIT"))
  assert.equal(clock.waiting, 0)
})
