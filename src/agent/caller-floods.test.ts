import assert from "node:assert/strict"
import { test } from "node:test"
import type { KvError } from "../errors/kv-error.ts"
import type { StoredSequence } from "../verify/fingerprint.ts"
import { frameLimits } from "../wire/control-frame.ts"
import type { ControlMessage, ControlMessageOf } from "../wire/control-messages.ts"
import { Caller } from "./caller.ts"
import { cardOf } from "./cards.test.kit.ts"
import { MessageChannel } from "./channel.ts"
import { delivered, FakeClock, openPipe } from "./in-memory.test.kit.ts"
import { LeaseBook } from "./lease-book.ts"
import type { LocalCache } from "./local-cache.ts"

const times = { holdMillis: 1e6, holdMillisMax: 1e6 }
const [ours, theirs] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]

/** A caller that says what it likes, and an owner whose hashes are made when the test says so. */
function openCaller() {
  const clock = new FakeClock()
  const [end, other] = openPipe()
  const [channel, hostile] = [new MessageChannel(end), new MessageChannel(other)]
  channel.seal(ours)
  channel.handOver(theirs)
  hostile.seal(theirs)
  hostile.handOver(ours)
  const card = cardOf("hostile")
  const leases = new LeaseBook({ clock, times, fence: async () => true })
  /** Hashings that were begun and have not ended: each is ended by a call. */
  const hashing: (() => void)[] = []
  let begun = 0
  const hash = (count: number) =>
    new Promise<BigUint64Array>((resolve) => {
      begun += 1
      hashing.push(() => resolve(new BigUint64Array(count)))
    })
  const cache = {
    clock,
    layout: card.layout,
    spans: [],
    integrityFloor: "none",
    random: () => 0,
    seals: { seal: () => hash(2), forget: () => {} },
    hasher: { hash: (_: StoredSequence, __: number, units: Uint32Array) => hash(units.length) },
  } as unknown as LocalCache
  const gone: string[] = []
  new Caller({
    card,
    session: "hostile",
    channel,
    leases,
    cache,
    epochOf: () => 0,
    holdMillis: times.holdMillis,
    silenceMillis: 1e9,
    grant: () => assert.fail("nobody asked"),
    onNotice: () => {},
    onGone: () => gone.push("gone"),
  })
  const heard: ControlMessage[] = []
  const ends: KvError[] = []
  hostile.listen(
    ({ message }) => heard.push(message),
    (error) => ends.push(error),
  )
  let calls = 0
  const lend = (access: "read" | "write"): string => {
    const id = String(leases.size + 1).padStart(32, "0")
    leases.lend({ id, access, blocks: Uint32Array.of(1), tokens: 16, lifetimeMillis: 1e9, onEnd: () => {} })
    leases.claim(id, "hostile")
    return id
  }
  const ask = (type: "claim" | "seals" | "landed", lease: string, attachment?: Uint8Array): number => {
    const call = ++calls
    if (type !== "landed") hostile.send({ type, call, lease }, attachment)
    else hostile.send({ type, call, lease, tokens: 16, level: "full" }, attachment)
    return call
  }
  const answer = (call: number) =>
    heard.find((message) => "call" in message && message.call === call) as
      | ControlMessageOf<"refused">
      | undefined
  const finish = async (): Promise<void> => {
    for (const end of hashing.splice(0)) end()
    await delivered()
  }
  return { lend, ask, answer, finish, hashing, begun: () => begun, heard, gone, ends }
}

test("however often a caller asks for hashes, a few are made at a time, and each is answered in the end", async () => {
  const { lend, ask, hashing, begun, heard, finish } = openCaller()
  const lease = lend("read")
  for (let i = 0; i < 100; i++) ask("seals", lease)
  await delivered()
  assert.equal(hashing.length, 4)
  assert.equal(heard.length, 0)
  while (hashing.length > 0) {
    assert.ok(hashing.length <= 4)
    await finish()
  }
  assert.equal(begun(), 100)
  assert.equal(heard.filter(({ type }) => type === "sealed").length, 100)
})

test("bytes that are wrong again and again are compared three times, one at a time, and then no more", async () => {
  const { lend, ask, answer, begun, finish } = openCaller()
  const lease = lend("write")
  const wrong = new Uint8Array(2 * 8).fill(7)
  for (let round = 1; round <= 3; round++) {
    const [first, second] = [ask("landed", lease, wrong), ask("landed", lease, wrong)]
    await delivered()
    assert.equal(begun(), round, "the second is not compared while the first one is")
    assert.equal(answer(second)?.error.code, "KV_LIMIT")
    await finish()
    assert.equal(answer(first)?.error.code, "KV_BYTES_DIFFER")
  }
  const last = ask("landed", lease, new Uint8Array(2 * 8))
  await delivered()
  assert.equal(begun(), 3)
  assert.equal(answer(last)?.error.code, "KV_LIMIT")
  const other = ask("landed", lend("write"), new Uint8Array(2 * 8))
  await delivered()
  await finish()
  assert.equal(answer(other)?.type, "proven", "another lease has its own count")
})

test("bytes behind a question that has none end the session", async () => {
  for (const type of ["claim", "seals"] as const) {
    const { lend, ask, ends, gone } = openCaller()
    ask(type, lend("read"), new Uint8Array(1))
    await delivered()
    assert.deepEqual(gone, ["gone"])
    assert.equal(ends.length, 1)
  }
})

test("hashes that wait to be compared are bounded in bytes, whatever leases they are for", async () => {
  const { lend, ask, gone, hashing } = openCaller()
  for (let i = 0; i < 4; i++) ask("landed", lend("write"), new Uint8Array(2 * 8))
  await delivered()
  assert.equal(hashing.length, 4, "whoever comes now has to wait")
  const long = new Uint8Array(frameLimits.attachment)
  for (const expected of [[], ["gone"]]) {
    ask("landed", lend("write"), long)
    await delivered()
    assert.deepEqual(gone, expected)
  }
})
