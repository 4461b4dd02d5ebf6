import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { fingerprintBlocks } from "../verify/fingerprint.ts"
import type { GrantedLease } from "./held-lease.ts"
import { delivered } from "./in-memory.test.kit.ts"
import { PreparedRead, type ReadRequest } from "./prepared-read.ts"
import {
  bytesOf,
  grantedOf,
  isKv,
  leaseA,
  openCache,
  openPeer,
  ownBlocks,
  ownSequence,
  rigTimes,
} from "./scripted.test.kit.ts"

/** A read under a held lease, prepared; `changes` to what is granted or asked. */
async function prepare(changes: Partial<GrantedLease> = {}, request: Partial<ReadRequest> = {}) {
  const rig = openPeer()
  const cache = openCache(rig)
  const claiming = rig.peer.claim(leaseA, { deadline: rig.clock.now() + 100 })
  const { access = "read", holdMillis = rigTimes.holdMillis } = changes
  await rig.answer("claim", (call) => grantedOf(call, { access, holdMillis }))
  const lease = await claiming
  const make = (): PreparedRead =>
    new PreparedRead(cache, { lease, into: ownBlocks, integrity: "epoch", ...request })
  const seal = (): Promise<void> =>
    rig.answer(
      "seals",
      (call) => ({ type: "sealed", call, unitTokens: 16 }),
      bytesOf(fingerprintBlocks(ownSequence(cache))),
    )
  return { ...rig, cache, lease, make, seal }
}

test("a read that was planned once is posted as often as its lease lasts, each with a ticket of its own", async () => {
  const { make, connection, heard } = await prepare()
  await using read = make()
  const ids = new Set<string>()
  for (let post = 1; post <= 3; post++) {
    const ticket = read.post({ requestId: `r-${post}` })
    ids.add(ticket.id)
    assert.equal(connection.moves.length, post)
    connection.finish()
    const receipt = await ticket.done
    assert.deepEqual(
      [receipt.requestId, receipt.bytes, receipt.pieces],
      [`r-${post}`, read.bytes, read.pieces],
    )
    assert.equal(receipt.integrity.verdict, "current")
  }
  assert.equal(connection.moves[0]!.plan, connection.moves[2]!.plan, "one plan for all of them")
  assert.equal(ids.size, 3)
  assert.equal(heard.length, 1, "the owner has heard of the claim, and of nothing since")
})

test("seals are fetched once and serve every post", async () => {
  const { make, connection, seal, heard } = await prepare({}, { integrity: "full" })
  await using read = make()
  for (let post = 0; post < 3; post++) {
    const ticket = read.post()
    if (post === 0) await seal()
    connection.finish()
    assert.equal((await ticket.done).integrity.verdict, "identical")
  }
  assert.equal(heard.filter(({ type }) => type === "seals").length, 1)
})

test("seals that could not be fetched are asked for again by the next post", async () => {
  const { make, connection, answer, seal } = await prepare({}, { integrity: "full" })
  await using read = make()
  const failed = read.post()
  const error = { code: "KV_OS", what: "the hasher is gone" } as const
  await answer("seals", (call) => ({ type: "refused", call, error }))
  connection.finish()
  await assert.rejects(failed.done, isKv("KV_OS"))
  const ticket = read.post()
  await seal()
  connection.finish()
  assert.equal((await ticket.done).integrity.verdict, "identical")
})

test("a post's own end does not reach the next one through the seals they share", async () => {
  const { make, connection, seal, clock } = await prepare({}, { integrity: "full" })
  await using read = make()
  const first = read.post({ timeoutMillis: 50 })
  connection.fail(new KvError("KV_OS", { what: "on purpose" }))
  await assert.rejects(first.done, isKv("KV_OS"))
  const second = read.post({ timeoutMillis: 2000 })
  await delivered()
  clock.advance(60)
  await seal()
  await seal()
  connection.finish()
  await second.done
})

test("a second post while one is under way is refused, and harms the first in nothing", async () => {
  const { make, connection } = await prepare()
  await using read = make()
  const first = read.post()
  await assert.rejects(read.post().done, isKv("KV_USAGE"))
  connection.finish()
  assert.equal((await first.receipt).state, "delivered")
})

test("after the lease has run out nothing is moved any more, and what moved meanwhile does not count", async () => {
  const { make, connection, clock } = await prepare({ holdMillis: 500 })
  await using read = make()
  const during = read.post()
  clock.advance(500)
  connection.finish()
  await assert.rejects(during.done, isKv("KV_LEASE_UNKNOWN"))
  const after = read.post()
  await assert.rejects(after.done, isKv("KV_LEASE_UNKNOWN"))
  assert.equal(connection.moves.length, 1)
})

test("a lease that was given back reads nothing, at any level", async () => {
  for (const integrity of ["none", "epoch", "full"] as const) {
    const { make, lease, connection, answer } = await prepare({}, { integrity })
    await using read = make()
    const released = lease.release()
    await answer("release", (call) => ({ type: "released", call }))
    await released
    await assert.rejects(read.post().done, isKv("KV_LEASE_UNKNOWN"))
    assert.equal(connection.moves.length, 0)
  }
})

test("a lease for writing, blocks of another pool, and stamps that are not there are refused when it is prepared", async () => {
  const writing = await prepare({ access: "write" })
  assert.throws(writing.make, isKv("KV_USAGE"))
  const outside = await prepare({}, { into: Uint32Array.of(1, 9) })
  assert.throws(outside.make, isKv("KV_PLAN_IMPOSSIBLE"))
  const stampless = await prepare()
  const { remote } = stampless.peer.path
  Object.assign(remote, { regions: remote.regions.slice(0, 2) })
  assert.throws(stampless.make, isKv("KV_PEER_REFUSED"))
})

test("onLanded sees the bytes before they are proven, and what it throws is the ticket's end", async () => {
  const order: string[] = []
  const { make, connection } = await prepare(
    {},
    {
      onLanded: (sequence) => {
        order.push(`landed ${sequence.tokens}`)
        throw new Error("not what I expected")
      },
    },
  )
  await using read = make()
  const ticket = read.post()
  connection.finish()
  assert.equal((await ticket.receipt).error?.code, "KV_INTERNAL")
  assert.deepEqual(order, ["landed 20"])
  assert.equal(connection.stampReads, 0)
})

test("the slot of the stamps is given back with the read", async () => {
  const { make, cache } = await prepare()
  for (let i = 0; i < 3; i++) await make()[Symbol.asyncDispose]()
  assert.equal(cache.stamps.take(cache.stamps.mapping.byteLength).start, 0)
})
