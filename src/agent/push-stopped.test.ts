import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { grantOf } from "./cards.test.kit.ts"
import { delivered } from "./in-memory.test.kit.ts"
import { startPush } from "./push.ts"
import { grantedOf, leaseA, openCache, openPeer, ownBlocks, rigTimes } from "./scripted.test.kit.ts"

/** A push whose bytes are on their way, over a connection of its own. */
async function pushing() {
  const rig = openPeer()
  const cache = openCache(rig)
  rig.writer.arena = cache.stamps
  const ticket = startPush(cache, rig.peer, { lease: leaseA, from: ownBlocks, tokens: 20, integrity: "none" })
  await rig.answer("ask-grant", (call) => ({ type: "grant", call, grant: grantOf({ direction: "write" }) }))
  await rig.answer("claim", (call) => grantedOf(call, { access: "write" }))
  await delivered()
  assert.equal(ticket.state, "posted")
  const kinds = (): string[] => rig.heard.map(({ type }) => type)
  return { ...rig, ticket, kinds }
}

test("a write that was stopped is followed by a read over its own connection, and only then its lease is given back", async () => {
  const { ticket, writer, connection, kinds } = await pushing()
  assert.deepEqual([writer.moves.length, connection.moves.length], [1, 0])
  ticket.cancel()
  assert.equal((await ticket.receipt).state, "cancelled")
  await delivered()
  assert.deepEqual([writer.stampReads, connection.stampReads], [1, 0])
  assert.deepEqual(kinds(), ["ask-grant", "claim", "release"])
})

test("where nothing follows, the lease is neither given back nor kept alive: its owner fences the writer off", async () => {
  const { ticket, writer, clock, kinds, heard } = await pushing()
  writer.broken = new KvError("KV_PEER_LOST", { what: "the stream was closed" })
  ticket.cancel()
  assert.equal((await ticket.receipt).state, "cancelled")
  await delivered()
  clock.advance(rigTimes.pulseMillis)
  await delivered()
  assert.deepEqual(kinds(), ["ask-grant", "claim", "renew"])
  assert.deepEqual(heard.at(-1), { type: "renew", call: 3, leases: [] })
})
