import assert from "node:assert/strict"
import { test } from "node:test"
import type { KvError } from "../errors/kv-error.ts"
import { messageLimits, noCall } from "../wire/control-messages.ts"
import { grantOf } from "./cards.test.kit.ts"
import { delivered } from "./in-memory.test.kit.ts"
import { grantedOf, isKv, leaseA, leaseB, openPeer, type PeerRig, rigTimes } from "./scripted.test.kit.ts"

/** Claims a lease of the rig's peer. */
async function claim(rig: PeerRig, lease = leaseA) {
  const held = rig.peer.claim(lease, { deadline: rig.clock.now() + 100 })
  await rig.answer("claim", (call) => grantedOf(call))
  return held
}

test("a claim is answered with the owner's blocks, their stamps, and how long the promise holds", async () => {
  const rig = openPeer()
  const held = await claim(rig)
  assert.deepEqual(rig.heard, [{ type: "claim", call: 1, lease: leaseA }])
  assert.deepEqual(held.granted, {
    id: leaseA,
    access: "read",
    tokens: 20,
    blocks: Uint32Array.of(0, 1),
    epochs: Uint32Array.of(0, 0),
    holdMillis: rigTimes.holdMillis,
  })
})

test("a grant of blocks that contradicts the card is refused: it would be believed from then on", async () => {
  for (const wrong of [
    { blocks: [0], epochs: [0] },
    { blocks: [0, 8] },
    { tokens: 0 },
    { tokens: 33 },
    { blocks: [], epochs: [] },
  ]) {
    const rig = openPeer()
    const refused = assert.rejects(
      rig.peer.claim(leaseA, { deadline: rig.clock.now() + 100 }),
      isKv("KV_PEER_REFUSED"),
    )
    await rig.answer("claim", (call) => grantedOf(call, wrong))
    await refused
  }
})

test("what is no lease is refused here: the peer hears nothing of it", async () => {
  const { peer, clock, heard } = openPeer()
  const deadline = clock.now() + 100
  for (const wrong of ["", "no lease", leaseA.toUpperCase(), `${leaseA}00`]) {
    await assert.rejects(peer.claim(wrong, { deadline }), isKv("KV_LEASE_UNKNOWN"))
    await assert.rejects(peer.release(wrong, { deadline }), isKv("KV_LEASE_UNKNOWN"))
  }
  await delivered()
  assert.deepEqual(heard, [])
})

test("a note that peers do not read is refused here: it would end the relation there", async () => {
  const { peer, clock, heard } = openPeer()
  const note = "n".repeat(messageLimits.note + 1)
  assert.throws(() => peer.notify(note), isKv("KV_LIMIT"))
  await assert.rejects(peer.release(leaseA, { deadline: clock.now() + 100, note }), isKv("KV_LIMIT"))
  peer.notify(note.slice(1), Uint8Array.of(1, 2))
  await delivered()
  assert.deepEqual(
    heard.map(({ type }) => type),
    ["notify"],
  )
})

test("a refusal of no call ends the peer and all its calls, once", async () => {
  const { peer, clock, say, connection, losses } = openPeer()
  const deadline = clock.now() + 100
  const calls = [peer.claim(leaseA, { deadline }), peer.release(leaseB, { deadline })]
  const ended = Promise.all(calls.map((call) => assert.rejects(call, isKv("KV_LIMIT"))))
  await say({ type: "refused", call: noCall, error: { code: "KV_LIMIT", what: "too many" } })
  await ended
  assert.equal(peer.lost?.code, "KV_LIMIT")
  assert.deepEqual([connection.disposed, losses.length, clock.waiting], [1, 1, 0])
  await assert.rejects(peer.claim(leaseA, { deadline }), isKv("KV_LIMIT"))
  assert.throws(() => peer.notify("still there?"), isKv("KV_LIMIT"))
})

test("a message that is no answer ends the peer", async () => {
  const { peer, say, clock } = openPeer()
  await say({ type: "notify", text: "psst" })
  assert.equal(peer.lost?.code, "KV_WIRE_INVALID")
  assert.equal(clock.waiting, 0)
})

test("when the connection is lost, the peer is: calls and leases end, once", async () => {
  const rig = openPeer()
  const held = await claim(rig)
  const asked = assert.rejects(
    rig.peer.seals(leaseA, { deadline: rig.clock.now() + 100 }),
    isKv("KV_PEER_LOST"),
  )
  rig.connection.lose(new Error("a cable was cut"))
  await asked
  assert.match(String(rig.peer.lost?.message), /a cable was cut/)
  assert.throws(() => held.check(), /a cable was cut/)
  rig.peer.close()
  assert.deepEqual([rig.losses.length, rig.clock.waiting], [1, 0])
})

test("signs of life keep every held lease, and only those that are held", async () => {
  const rig = openPeer()
  const [kept, ended] = [await claim(rig), await claim(rig, leaseB)]
  rig.clock.advance(rigTimes.pulseMillis)
  await rig.answer("renew", (call) => ({ type: "renewed", call, ended: [leaseB] }))
  assert.deepEqual(rig.heard.at(-1), { type: "renew", call: 3, leases: [leaseA, leaseB] })
  assert.throws(() => ended.check(), isKv("KV_LEASE_UNKNOWN"))
  // The claim alone would have held for 3 s; confirmed after 1 s, it holds for 3 more.
  rig.clock.advance(rigTimes.pulseMillis)
  await rig.answer("renew", (call) => ({ type: "renewed", call, ended: [] }))
  assert.deepEqual(rig.heard.at(-1), { type: "renew", call: 4, leases: [leaseA] })
  rig.clock.advance(rigTimes.holdMillis - 1)
  assert.equal(kept.inForce, true)
  rig.clock.advance(1)
  assert.equal(kept.inForce, false, "an owner that confirms nothing any more may have taken it back")
})

test("an idle peer is asked for signs of life too, and one that gives none is lost after its silence", async () => {
  const rig = openPeer()
  rig.clock.advance(rigTimes.pulseMillis)
  await rig.answer("renew", (call) => ({ type: "renewed", call, ended: [] }))
  rig.clock.advance(rigTimes.pulseMillis)
  await delivered()
  rig.clock.advance(rigTimes.silenceMillis - 1)
  await delivered()
  const lost = (): KvError | undefined => rig.peer.lost
  assert.equal(lost(), undefined)
  rig.clock.advance(1)
  await delivered()
  assert.match(String(lost()?.message), /no sign of life for 9000 ms/)
  assert.equal(lost()?.code, "KV_PEER_LOST")
  assert.deepEqual([rig.connection.disposed, rig.clock.waiting], [1, 0])
})

test("an owner that wants to hear of us sooner is obeyed, and one that wants it all the time is not", async () => {
  const rig = openPeer()
  for (const [lease, holdMillis, pulseMillis] of [
    [leaseA, 300, 100],
    [leaseB, 0, 20],
  ] as const) {
    const held = rig.peer.claim(lease, { deadline: rig.clock.now() + 100 })
    await rig.answer("claim", (call) => grantedOf(call, { holdMillis }))
    await held
    const before = rig.heard.length
    rig.clock.advance(pulseMillis - 1)
    await delivered()
    assert.equal(rig.heard.length, before)
    rig.clock.advance(1)
    await rig.answer("renew", (call) => ({ type: "renewed", call, ended: [] }))
  }
})

test("more leases than one message names are all renewed", async () => {
  const rig = openPeer()
  const ids = Array.from({ length: messageLimits.leases + 3 }, (_, i) => i.toString(16).padStart(32, "0"))
  const deadline = rig.clock.now() + 100
  const claims = ids.map((id) => rig.peer.claim(id, { deadline }).catch((thrown: unknown) => thrown))
  // As many questions as may wait at once, then the rest.
  await delivered()
  for (let call = 1; call <= messageLimits.leases; call++) void rig.say(grantedOf(call))
  await delivered()
  for (const id of ids.slice(messageLimits.leases)) {
    const late = rig.peer.claim(id, { deadline })
    await rig.answer("claim", () => ({ ...grantedOf(0), call: lastCall(rig) }) as never)
    await late
  }
  await Promise.all(claims)
  const before = rig.heard.length
  rig.clock.advance(rigTimes.pulseMillis)
  await delivered()
  await rig.say({ type: "renewed", call: lastCall(rig), ended: [] })
  await rig.say({ type: "renewed", call: lastCall(rig), ended: [] })
  const renewed = rig.heard
    .slice(before)
    .flatMap((message) => (message.type === "renew" ? message.leases : []))
  assert.deepEqual(renewed, ids)
})

const lastCall = ({ heard }: PeerRig): number => {
  const message = heard.at(-1)!
  assert.ok("call" in message)
  return message.call
}

test("a lease that two claimed ends for both when one gives it back", async () => {
  const rig = openPeer()
  const [one, other] = [await claim(rig), await claim(rig)]
  const released = one.release()
  await rig.answer("release", (call) => ({ type: "released", call }))
  await released
  assert.throws(() => other.check(), isKv("KV_LEASE_UNKNOWN"))
})

test("a grant is renewed in its second half, with the same right and the same boot", async () => {
  const rig = openPeer({ expiresMillis: 4 * rigTimes.pulseMillis })
  const pulse = async (): Promise<void> => {
    rig.clock.advance(rigTimes.pulseMillis)
    await rig.answer("renew", (call) => ({ type: "renewed", call, ended: [] }))
  }
  await pulse()
  assert.equal(rig.heard.at(-1)?.type, "renew", "a fresh grant needs nothing")
  await pulse()
  await rig.answer("ask-grant", (call) => ({
    type: "grant",
    call,
    grant: grantOf({ expiresMillis: 4 * rigTimes.pulseMillis, bootId: "99".repeat(16) }),
  }))
  assert.equal(rig.peer.lost?.code, "KV_PEER_REFUSED", "a grant of another boot is of another life")
  assert.equal(rig.clock.waiting, 0)
})

test("a peer that grants no more is left, with its words", async () => {
  const rig = openPeer({ expiresMillis: rigTimes.pulseMillis })
  rig.clock.advance(rigTimes.pulseMillis)
  await rig.answer("renew", (call) => ({ type: "renewed", call, ended: [] }))
  await rig.answer("ask-grant", (call) => ({
    type: "refused",
    call,
    error: { code: "KV_PEER_UNTRUSTED", what: "its entry has ended" },
  }))
  assert.equal(rig.peer.lost?.code, "KV_PEER_UNTRUSTED")
})

test("the right to write is asked for once, and has a connection of its own", async () => {
  const rig = openPeer()
  const options = { deadline: rig.clock.now() + 100 }
  const asked = rig.peer.writer(options)
  await rig.answer("ask-grant", (call) => ({ type: "grant", call, grant: grantOf({ direction: "write" }) }))
  assert.equal(await asked, await rig.peer.writer(options))
  assert.equal(rig.heard.length, 1)
})

test("stamps of fewer blocks than the card has are refused", () => {
  const rig = openPeer()
  assert.equal(rig.peer.epochs.region, 2)
  const regions = rig.peer.path.remote.regions.slice(0, 2)
  Object.assign(rig.peer.path.remote, { regions })
  assert.throws(() => rig.peer.epochs, isKv("KV_PEER_REFUSED"))
})
