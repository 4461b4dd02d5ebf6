import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { receiptSchema, type TransferReceipt } from "../receipt/receipt.ts"
import { fingerprintBlocks } from "../verify/fingerprint.ts"
import type { ControlMessage } from "../wire/control-messages.ts"
import { delivered } from "./in-memory.test.kit.ts"
import type { LocalCache } from "./local-cache.ts"
import { type PullOptions, startPull } from "./pull.ts"
import {
  bytesOf,
  grantedOf,
  leaseA,
  openCache,
  openPeer,
  ownBlocks,
  ownSequence,
  type PeerRig,
} from "./scripted.test.kit.ts"
import type { Ticket } from "./ticket.ts"

interface Pulling extends PeerRig {
  readonly ticket: Ticket
  readonly cache: LocalCache
  grant(changes?: Partial<Extract<ControlMessage, { type: "granted" }>>): Promise<void>
  seal(hashes?: BigUint64Array): Promise<void>
  land(): Promise<void>
  release(): Promise<void>
}

function pull(options: Partial<PullOptions> = {}, sourceHeads = 4): Pulling {
  const rig = openPeer({ heads: sourceHeads })
  const cache = openCache(rig)
  const ticket = startPull(cache, rig.peer, {
    requestId: "r-1",
    trace: "t-1",
    lease: leaseA,
    tokens: 20,
    into: ownBlocks,
    timeoutMillis: 500,
    ...options,
  })
  return {
    ...rig,
    ticket,
    cache,
    grant: (changes) => rig.answer("claim", (call) => grantedOf(call, changes)),
    seal: (hashes = fingerprintBlocks(ownSequence(cache))) =>
      rig.answer("seals", (call) => ({ type: "sealed", call, unitTokens: 16 }), bytesOf(hashes)),
    async land() {
      rig.connection.finish()
      await delivered()
    },
    release: () => rig.answer("release", (call) => ({ type: "released", call })),
  }
}

const endOf = ({ state, error }: TransferReceipt) => [state, error?.code]

test("a delivered pull's receipt tells its path, bytes, times and proof", async () => {
  const pulling = pull({ note: "thanks" })
  const { clock, connection, ticket } = pulling
  clock.advance(3)
  await pulling.grant()
  assert.equal(ticket.state, "posted")
  await pulling.seal()
  clock.advance(40)
  await pulling.land()
  clock.advance(5)
  assert.equal(ticket.state, "moved")
  await pulling.release()
  const receipt = await ticket.receipt
  const bytes = 20 * 2 * 2 * 4 * 8 * 4
  assert.deepEqual(receipt, {
    schema: receiptSchema,
    ticket: ticket.id,
    requestId: "r-1",
    trace: "t-1",
    state: "delivered",
    endedAt: new Date(clock.wallMillis()).toISOString(),
    direction: "read",
    mode: "copy",
    source: { pid: 7, agentId: "theirs", bootId: "0123456789abcdef".repeat(2) },
    target: { pid: 1, agentId: "ours", bootId: "ff".repeat(16) },
    path: { transport: "imaginary", why: "imaginary: for a test", rails: [{ rail: 0, bytes }] },
    tokens: 20,
    layers: 2,
    blocks: 2,
    pieces: connection.moves[0]!.plan.pieces,
    bytes,
    micros: { grant: 3000, plan: 0, post: 0, move: 40_000, prove: 5000, total: 48_000 },
    bytesPerSecond: Math.round((bytes / 40_000) * 1e6),
    retries: 2,
    integrity: { level: "full", checked: 4, epochs: 2, verdict: "identical" },
  })
  assert.deepEqual(
    pulling.heard.map(({ type }) => type),
    ["claim", "seals", "release"],
  )
  assert.equal((pulling.heard[2] as { note?: string }).note, "thanks")
})

test("at level none nothing is asked for and nothing compared, and the receipt says so", async () => {
  const pulling = pull({ integrity: "none" })
  await pulling.grant()
  await pulling.land()
  await pulling.release()
  const { state, integrity } = await pulling.ticket.receipt
  assert.equal(state, "delivered")
  assert.deepEqual(integrity, { level: "none", checked: 0, epochs: 0, verdict: "unchecked" })
  assert.deepEqual([pulling.heard.length, pulling.connection.stampReads], [2, 0])
})

test("at level epoch the stamps are read after the last byte, and no hash is made", async () => {
  const pulling = pull({ integrity: "epoch" })
  await pulling.grant()
  assert.equal(pulling.connection.stampReads, 0)
  await pulling.land()
  assert.equal(pulling.connection.stampReads, 1)
  await pulling.release()
  const { integrity } = await pulling.ticket.receipt
  assert.deepEqual(integrity, { level: "epoch", checked: 0, epochs: 2, verdict: "current" })
})

test("a stamp that has moved fails the pull, though hashes would have agreed", async () => {
  const pulling = pull()
  await pulling.grant()
  await pulling.seal()
  pulling.connection.stamps[1] = 1
  await pulling.land()
  const receipt = await pulling.ticket.receipt
  assert.deepEqual(endOf(receipt), ["failed", "KV_BLOCK_REUSED"])
  assert.deepEqual(receipt.integrity, { level: "full", checked: 0, epochs: 2, verdict: "reused" })
})

test("bytes that differ from what the source sealed fail the pull, with the place, and the lease is given back", async () => {
  const pulling = pull()
  const hashes = fingerprintBlocks(ownSequence(pulling.cache))
  hashes[3]! ^= 1n
  await pulling.grant()
  await pulling.seal(hashes)
  await pulling.land()
  const receipt = await pulling.ticket.receipt
  assert.deepEqual(endOf(receipt), ["failed", "KV_BYTES_DIFFER"])
  assert.deepEqual(receipt.integrity, {
    level: "full",
    checked: 4,
    epochs: 2,
    verdict: "different",
    firstDifference: { layer: 1, block: 1 },
  })
  await delivered()
  assert.equal(pulling.heard.at(-1)?.type, "release")
})

test("a source that sealed nothing cannot deliver what must be proven", async () => {
  const pulling = pull()
  await pulling.grant()
  await pulling.seal(new BigUint64Array(0))
  await pulling.land()
  const receipt = await pulling.ticket.receipt
  assert.deepEqual(endOf(receipt), ["failed", "KV_PEER_REFUSED"])
  assert.equal(receipt.integrity.verdict, "current")
})

test("hashes over other heads than ours prove nothing: refused before a byte moves, not called different", async () => {
  const pulling = pull({}, 2)
  await pulling.grant()
  const receipt = await pulling.ticket.receipt
  assert.deepEqual(endOf(receipt), ["failed", "KV_PEER_REFUSED"])
  assert.match(receipt.error?.what ?? "", /heads/)
  assert.equal(pulling.connection.moves.length, 0)
  const stamped = pull({ integrity: "epoch" }, 2)
  await stamped.grant()
  await stamped.land()
  await stamped.release()
  assert.equal((await stamped.ticket.receipt).state, "delivered")
})

test("a lease that was not in force to the end fails the pull, though its bytes were right", async () => {
  const pulling = pull()
  await pulling.grant()
  await pulling.seal()
  await pulling.land()
  const error = { code: "KV_LEASE_UNKNOWN", what: "it has expired" } as const
  await pulling.answer("release", (call) => ({ type: "refused", call, error }))
  assert.deepEqual(endOf(await pulling.ticket.receipt), ["failed", "KV_LEASE_UNKNOWN"])
})

test("a lease that runs out unconfirmed while bytes move fails the pull: they may be anybody's", async () => {
  const pulling = pull({ timeoutMillis: 60_000, integrity: "epoch" })
  await pulling.grant({ holdMillis: 300 })
  pulling.clock.advance(300)
  await pulling.land()
  assert.deepEqual(endOf(await pulling.ticket.receipt), ["failed", "KV_LEASE_UNKNOWN"])
})

const steps: readonly (readonly [string, (pulling: Pulling) => Promise<void>])[] = [
  ["planned", () => delivered()],
  ["posted", (pulling) => pulling.grant()],
  [
    "moved",
    async (pulling) => {
      await pulling.grant()
      await pulling.land()
    },
  ],
  [
    "moved",
    async (pulling) => {
      await pulling.grant()
      await pulling.seal()
      await pulling.land()
    },
  ],
]

test("a pull that is cancelled ends at once, whichever answer it waits for, and gives its lease back", async () => {
  for (const [state, step] of steps) {
    const pulling = pull()
    await step(pulling)
    assert.equal(pulling.ticket.state, state)
    pulling.ticket.cancel()
    assert.deepEqual(endOf(await pulling.ticket.receipt), ["cancelled", "KV_CANCELLED"])
    await delivered()
    assert.equal(pulling.heard.at(-1)?.type, "release")
    assert.equal(pulling.peer.lost, undefined)
  }
})

test("a source that stays silent makes the pull expire at its deadline, in every state that waits for it", async () => {
  for (const [state, step] of steps.filter(([name]) => name !== "posted")) {
    const pulling = pull()
    await step(pulling)
    pulling.clock.advance(499)
    await delivered()
    assert.equal(pulling.ticket.state, state)
    pulling.clock.advance(1)
    const receipt = await pulling.ticket.receipt
    assert.deepEqual(endOf(receipt), ["expired", "KV_DEADLINE"])
    assert.equal(receipt.micros.total, 500_000)
  }
})

test("a move is told the pull's deadline and signal", async () => {
  const pulling = pull()
  const started = pulling.clock.now()
  await pulling.grant()
  const { deadline, signal } = pulling.connection.moves[0]!
  assert.equal(deadline, started + 500)
  assert.equal(signal?.aborted, false)
  pulling.ticket.cancel()
  assert.equal(signal?.aborted, true)
  await pulling.ticket.receipt
})

test("a move that fails is the pull's failure; blocks beyond the pool are refused before a move", async () => {
  const failing = pull()
  await failing.grant()
  failing.connection.fail(new KvError("KV_RKEY_REJECTED", { what: "the peer closed the region" }))
  assert.deepEqual(endOf(await failing.ticket.receipt), ["failed", "KV_RKEY_REJECTED"])
  const outside = pull({ into: Uint32Array.of(5, 8) })
  await outside.grant()
  assert.deepEqual(endOf(await outside.ticket.receipt), ["failed", "KV_PLAN_IMPOSSIBLE"])
  assert.equal(outside.connection.moves.length, 0)
})

test("another number of tokens than was expected is refused; without an expectation the lease says it", async () => {
  const refused = pull()
  await refused.grant({ tokens: 21 })
  assert.deepEqual(endOf(await refused.ticket.receipt), ["failed", "KV_PEER_REFUSED"])
  const rig = openPeer()
  const cache = openCache(rig)
  const ticket = startPull(cache, rig.peer, { lease: leaseA, into: ownBlocks, integrity: "none" })
  await rig.answer("claim", (call) => grantedOf(call))
  rig.connection.finish()
  await rig.answer("release", (call) => ({ type: "released", call }))
  assert.equal((await ticket.receipt).tokens, 20)
})

test("the level is what was asked for, and never below the floor", async () => {
  for (const [asked, own, floor, used] of [
    ["none", "full", "epoch", "epoch"],
    ["sampled", "none", "none", "sampled"],
    [undefined, "sampled", "epoch", "sampled"],
    [undefined, "none", "full", "full"],
  ] as const) {
    const rig = openPeer()
    const cache = openCache(rig, { integrity: own, integrityFloor: floor })
    const integrity = asked === undefined ? {} : { integrity: asked }
    const ticket = startPull(cache, rig.peer, { lease: leaseA, into: ownBlocks, ...integrity })
    ticket.cancel()
    assert.equal((await ticket.receipt).integrity.level, used)
  }
})

test("a note that the source would not read is refused before anything is asked", async () => {
  const pulling = pull({ note: "n".repeat(5000) })
  assert.deepEqual(endOf(await pulling.ticket.receipt), ["failed", "KV_LIMIT"])
  await delivered()
  assert.deepEqual(pulling.heard, [])
})

test("no slot of the stamps' arena, and no timer but the sign of life, is left behind by any end", async () => {
  for (const end of ["delivered", "cancelled", "failed"]) {
    const pulling = pull()
    await pulling.grant()
    if (end === "delivered") await pulling.seal()
    if (end === "cancelled") pulling.ticket.cancel()
    else if (end === "failed") pulling.connection.fail(new KvError("KV_OS", { what: "on purpose" }))
    else {
      await pulling.land()
      await pulling.release()
    }
    assert.equal((await pulling.ticket.receipt).state, end)
    pulling.clock.advance(0)
    await delivered()
    const { stamps } = pulling.cache
    assert.equal(stamps.take(stamps.mapping.byteLength).start, 0)
    pulling.peer.close()
    await delivered()
    assert.equal(pulling.clock.waiting, 0)
  }
})
