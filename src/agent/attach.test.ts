import assert from "node:assert/strict"
import { test } from "node:test"
import { transports } from "../promises/transports.test.kit.ts"
import { fingerprintBlocks, hashText } from "../verify/fingerprint.ts"
import { plainHasher } from "../verify/hasher.ts"
import { fillRandom, lendBlocks, lendRandom, openPair, type Pair } from "./agent.test.kit.ts"
import type { HeldLease } from "./held-lease.ts"
import { isKv } from "./scripted.test.kit.ts"

const shm = transports.find(({ name }) => name === "shm")!
const soon = () => ({ deadline: performance.now() + 30_000 })
const texts = (hashes: BigUint64Array): string[] => [...hashes].map(hashText)

/** A pair over shm, with a sequence of the source lent and held. */
async function openHeld(
  more: Parameters<typeof openPair>[1] = {},
): Promise<Pair & { lease: HeldLease; lent: ReturnType<typeof lendRandom> }> {
  const pair = await openPair([shm], more)
  const lent = lendRandom(pair.source, 77)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  return { ...pair, lent, lease: await pair.target.agent.claim(peer, lent.lease, soon()) }
}

test("attached blocks are the source's own: nothing is copied, and the ticket ends with the release", async () => {
  await using pair = await openHeld()
  await using prepared = await pair.target.agent.prepareAttach(pair.lease)
  const attached = await prepared.attach({ requestId: "r-7" })
  assert.equal(attached.ticket.state, "moved", "not proven before the blocks were used")
  const own = fingerprintBlocks({ ...pair.source.pool, blocks: pair.lent.blocks, tokens: 77 })
  assert.deepEqual(texts(fingerprintBlocks(attached.sequence)), texts(own))
  await attached.release()
  const receipt = await attached.ticket.done
  assert.deepEqual([receipt.state, receipt.mode, receipt.bytes], ["delivered", "attach", 0])
  assert.deepEqual(receipt.integrity, { level: "full", checked: 15, epochs: 5, verdict: "identical" })
  assert.deepEqual(pair.lent.ends, [], "the lease is its holder's, for the next use")
  await pair.lease.release()
  assert.deepEqual(pair.lent.ends, ["released"])
})

test("one preparation serves many uses, one at a time", async () => {
  await using pair = await openHeld()
  await using prepared = await pair.target.agent.prepareAttach(pair.lease, "epoch")
  for (let use = 0; use < 5; use++) {
    await using attached = await prepared.attach()
    assert.equal(attached.ticket.state, "moved")
    await attached.release()
    const { integrity } = await attached.ticket.done
    assert.deepEqual(integrity, { level: "epoch", checked: 0, epochs: 5, verdict: "current" })
  }
})

test("blocks that are reused while they are attached are found at the release: what was read does not count", async () => {
  for (const level of ["epoch", "full"] as const) {
    await using pair = await openHeld()
    await using prepared = await pair.target.agent.prepareAttach(pair.lease, level)
    const attached = await prepared.attach()
    pair.source.agent.withdraw(pair.lent.lease)
    const next = lendBlocks(pair.source, 77)
    assert.deepEqual(
      [...next.blocks].sort(),
      [...pair.lent.blocks].sort(),
      "the same blocks, for another request",
    )
    fillRandom(pair.source)
    await attached.release()
    const receipt = await attached.ticket.receipt
    assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_BLOCK_REUSED"])
    assert.equal(receipt.integrity.verdict, "reused")
  }
})

test("blocks that were reused before they are attached are not handed out at all", async () => {
  await using pair = await openHeld()
  await using prepared = await pair.target.agent.prepareAttach(pair.lease, "epoch")
  pair.source.agent.withdraw(pair.lent.lease)
  await assert.rejects(prepared.attach(), isKv("KV_BLOCK_REUSED"))
})

test("blocks that differ from their seals are not handed out", async () => {
  await using pair = await openHeld()
  await using prepared = await pair.target.agent.prepareAttach(pair.lease, "full")
  // One byte changes behind the back of the stamps.
  const place = (pair.lent.blocks[3]! * pair.source.pool.spans[1]!.byteLength) / 32
  pair.source.pool.spans[1]!.view(place, 1)[0]! ^= 1
  await assert.rejects(prepared.attach(), isKv("KV_BYTES_DIFFER"))
})

test("a use that outlasts its ticket's deadline, or is cancelled, ends without a release", async () => {
  await using pair = await openHeld()
  await using prepared = await pair.target.agent.prepareAttach(pair.lease, "epoch")
  const late = await prepared.attach({ timeoutMillis: 60 })
  assert.deepEqual((await late.ticket.receipt).error?.code, "KV_DEADLINE")
  await late.release()
  const stopped = await prepared.attach()
  stopped.ticket.cancel()
  assert.deepEqual((await stopped.ticket.receipt).state, "cancelled")
  await stopped.release()
})

test("a use that was cancelled while its hashes were made ends then, and does not wait for its deadline", async () => {
  const abort = new AbortController()
  const hasher: typeof plainHasher = {
    hash(sequence, unitTokens, units) {
      abort.abort()
      return plainHasher.hash(sequence, unitTokens, units)
    },
  }
  await using pair = await openHeld({ target: { hasher } })
  await using prepared = await pair.target.agent.prepareAttach(pair.lease, "full")
  await assert.rejects(prepared.attach({ signal: abort.signal, timeoutMillis: 60_000 }), isKv("KV_CANCELLED"))
})

test("the death of the owner's agent ends the use: what was read last cannot be proven", async () => {
  await using pair = await openHeld()
  await using prepared = await pair.target.agent.prepareAttach(pair.lease, "epoch")
  const attached = await prepared.attach()
  await pair.source.agent[Symbol.asyncDispose]()
  await attached.release()
  const receipt = await attached.ticket.receipt
  assert.equal(receipt.state, "failed")
  assert.ok(["KV_PEER_LOST", "KV_BLOCK_REUSED"].includes(receipt.error?.code ?? ""), receipt.error?.what)
})

test("a path that cannot share memory refuses, and says which one could", async () => {
  await using pair = await openPair([transports[0]!])
  const { lease } = lendRandom(pair.source, 40)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const held = await pair.target.agent.claim(peer, lease, soon())
  await assert.rejects(pair.target.agent.prepareAttach(held), (thrown) => {
    assert.match(String(thrown), /loopback.*allow the path shm/)
    return isKv("KV_TRANSPORT_UNAVAILABLE")(thrown)
  })
})
