import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { messageLimits } from "../wire/control-messages.ts"
import { HeldLease } from "./held-lease.ts"
import { delivered } from "./in-memory.test.kit.ts"
import { isKv, leaseA, openPeer } from "./scripted.test.kit.ts"

function openLease() {
  const rig = openPeer()
  const granted = {
    id: leaseA,
    access: "read",
    tokens: 20,
    blocks: Uint32Array.of(0, 1),
    epochs: Uint32Array.of(0, 0),
    holdMillis: 500,
  } as const
  const askedAt = rig.clock.now()
  return { ...rig, askedAt, held: new HeldLease(rig.peer, granted, askedAt, () => rig.clock.now()) }
}

test("a lease holds from the moment it was asked for, not from the answer, and not a moment longer", () => {
  const { held, clock } = openLease()
  clock.advance(499)
  assert.equal(held.inForce, true)
  held.check()
  clock.advance(1)
  assert.equal(held.inForce, false)
  assert.throws(() => held.check(), /has run out; why: theirs has not confirmed it for 500 ms/)
})

test("a confirmation counts from its question, and an older one takes nothing away", () => {
  const { held, clock, askedAt } = openLease()
  held.renewed(askedAt + 300)
  held.renewed(askedAt + 100)
  clock.advance(799)
  assert.equal(held.inForce, true)
  clock.advance(1)
  assert.throws(() => held.check(), isKv("KV_LEASE_UNKNOWN"))
})

test("what ended stays ended, for the first reason, whatever is confirmed later", () => {
  const { held, askedAt } = openLease()
  held.end(new KvError("KV_LEASE_UNKNOWN", { what: "the owner took it back" }))
  held.end(new KvError("KV_PEER_LOST", { what: "said later" }))
  held.renewed(askedAt + 400)
  assert.throws(() => held.check(), /the owner took it back/)
})

test("the death of its owner is the end of a lease", () => {
  const { held, peer } = openLease()
  peer.close(new KvError("KV_PEER_LOST", { what: "it was killed" }))
  assert.throws(() => held.check(), /it was killed/)
})

test("a release is asked for once, and the lease is not in force from then on", async () => {
  const { held, heard, answer } = openLease()
  const released = held.release({ note: "thanks" })
  assert.equal(held.inForce, false)
  await answer("release", (call) => ({ type: "released", call }))
  await released
  await held.release()
  await held[Symbol.asyncDispose]()
  await delivered()
  assert.deepEqual(heard, [{ type: "release", call: 1, lease: leaseA, note: "thanks" }])
})

test("a release that comes too late says so; at the end of a scope it does not matter", async () => {
  for (const dispose of [false, true]) {
    const { held, answer } = openLease()
    const ending = dispose ? held[Symbol.asyncDispose]() : held.release()
    const checked = dispose ? ending : assert.rejects(ending, isKv("KV_LEASE_UNKNOWN"))
    const error = { code: "KV_LEASE_UNKNOWN", what: "it has expired" } as const
    await answer("release", (call) => ({ type: "refused", call, error }))
    await checked
  }
})

test("a release that nobody answers ends at its deadline", async () => {
  const { held, clock } = openLease()
  const released = assert.rejects(held.release({ timeoutMillis: 40 }), isKv("KV_DEADLINE"))
  clock.advance(40)
  await released
})

test("a note that is too long is refused, and the lease is still in force", async () => {
  const { held } = openLease()
  await assert.rejects(held.release({ note: "n".repeat(messageLimits.note + 1) }), isKv("KV_LIMIT"))
  assert.equal(held.inForce, true)
})
