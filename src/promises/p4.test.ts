/** P4. Never somebody else's bytes: reads that overlap a reuse, an expiry, a restart. Stopped processes: `p4-processes`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fillRandom, lendBlocks, openPair, openSide, pullOf } from "../agent/agent.test.kit.ts"
import type { ControlChannel, ControlNetwork } from "../agent/control-network.ts"
import { wholeModelLayout } from "../kv/kv-layout.ts"
import { stampsOf } from "../memory/kv-pool.ts"
import { tcpControlNetwork } from "../os/control-net.ts"
import type { IntegrityLevel } from "../receipt/receipt.ts"
import { fingerprintBlocks } from "../verify/fingerprint.ts"
import { cuttable } from "./cuttable.test.kit.ts"
import { interrupted } from "./interrupted.test.kit.ts"
import { transports } from "./transports.test.kit.ts"

/** Small, so that every byte position of the payload can be tried: 448 bytes in 7 tokens. */
const layout = wholeModelLayout(
  { layers: 2, kvHeads: 2, headDim: 2, elementBytes: 4 },
  { blocks: 8, blockTokens: 4 },
)
const tokens = 7
const payload = tokens * 2 * 2 * 2 * 2 * 4
const soon = () => ({ deadline: performance.now() + 30_000 })

/** Reads one sequence once for each byte `k` at which its blocks are released, reused and overwritten. */
async function overlaps(
  transport: (typeof transports)[number],
  positions: readonly number[],
  level: IntegrityLevel,
): Promise<void> {
  let stopAt: number | undefined
  let meanwhile = (): void => {}
  const stopping = interrupted(transport, ({ plan }) =>
    plan.bytes === payload && stopAt !== undefined ? { at: stopAt, meanwhile } : undefined,
  )
  await using pair = await openPair([transport], {
    source: { layout },
    target: { layout, transports: [stopping] },
  })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const into = pair.target.pool.allocator.allocate(2)
  for (const k of positions) {
    fillRandom(pair.source)
    const lent = lendBlocks(pair.source, tokens)
    const held = await pair.target.agent.claim(peer, lent.lease, soon())
    let [next, happened] = [undefined as ReturnType<typeof lendBlocks> | undefined, 0]
    meanwhile = () => {
      happened += 1
      pair.source.agent.withdraw(lent.lease)
      next = lendBlocks(pair.source, tokens)
      assert.deepEqual([...next.blocks], [...lent.blocks], "the very same blocks serve the next request")
      fillRandom(pair.source)
    }
    await using read = pair.target.agent.prepareRead({ lease: held, into, integrity: level })
    stopAt = k
    const receipt = await read.post({ timeoutMillis: 10_000 }).receipt
    stopAt = undefined
    assert.equal(happened, 1)
    assert.equal(receipt.state, "failed", `a reuse at byte ${k} of ${payload} went through at level ${level}`)
    assert.deepEqual([receipt.error?.code, receipt.integrity.verdict], ["KV_BLOCK_REUSED", "reused"])
    pair.source.agent.withdraw(next!.lease)
  }
  assert.equal(pair.source.pool.allocator.free, 8)
}

test(`a reuse is detected at each of the ${payload + 1} byte positions of a read, by the stamps alone`, async () => {
  await overlaps(
    transports[0]!,
    Array.from({ length: payload + 1 }, (_, k) => k),
    "epoch",
  )
})

for (const transport of transports.slice(1)) {
  test(`${transport.name}: a reuse is detected at the first byte, the last, at each edge of a piece, and between`, async () => {
    const positions = [0, 1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 300, payload - 1, payload]
    await overlaps(transport, positions, "epoch")
    await overlaps(transport, [0, 77, payload], "full")
  })
}

test("the error of a reuse names the block, whichever it was, also beside others and after good reads", async () => {
  const many = wholeModelLayout(layout.shape, { blocks: 64, blockTokens: 4 })
  await using pair = await openPair([transports[0]!], { source: { layout: many }, target: { layout: many } })
  const { pool, agent } = pair.source
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const into = pair.target.pool.allocator.allocate(9)
  // In no order, and with others between them.
  const all = pool.allocator.allocate(64)
  const blocks = Uint32Array.of(40, 3, 4, 63, 0, 17, 16, 5, 41)
  for (const [first, ...more] of [[0], [8], [3, 4], [1, 7, 8], [5]] as const) {
    const lease = agent.lend({ blocks, tokens: 35, lifetimeMillis: 60_000, onEnd: () => {} })
    const held = await pair.target.agent.claim(peer, lease, soon())
    await using read = pair.target.agent.prepareRead({ lease: held, into, integrity: "epoch" })
    assert.equal((await read.post().receipt).state, "delivered")
    const given = Uint32Array.from([first, ...more], (position) => blocks[position]!)
    pool.allocator.release(given)
    pool.allocator.allocate(given.length)
    const { error } = await read.post().receipt
    assert.equal(error?.code, "KV_BLOCK_REUSED")
    assert.match(error.what, new RegExp(`^block ${first} of the sequence `))
    await held.release()
  }
  pool.allocator.release(all)
})

for (const transport of transports) {
  test(`${transport.name}: a lease that its owner takes back while the bytes move is no good any more when they are there, at every level`, async () => {
    let meanwhile: (() => Promise<void>) | undefined
    const stopping = interrupted(transport, ({ plan }) =>
      plan.bytes === payload && meanwhile !== undefined ? { at: payload / 2, meanwhile } : undefined,
    )
    const times = { holdMillis: 100 }
    await using pair = await openPair([transport], {
      source: { layout, times },
      target: { layout, times, transports: [stopping] },
    })
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const blocks = pair.source.pool.allocator.allocate(2)
    const into = pair.target.pool.allocator.allocate(2)
    for (const integrity of ["none", "epoch", "sampled", "full"] as const) {
      // Its blocks stay where they are, unchanged: it is the promise alone that is over.
      const lease = pair.source.agent.lend({ blocks, tokens, lifetimeMillis: 60_000, onEnd: () => {} })
      const held = await pair.target.agent.claim(peer, lease, soon())
      await using read = pair.target.agent.prepareRead({ lease: held, into, integrity })
      meanwhile = async () => {
        pair.source.agent.withdraw(lease)
        while (held.inForce) await new Promise((resolve) => setTimeout(resolve, 5))
      }
      const { state, error } = await read.post({ timeoutMillis: 10_000 }).receipt
      assert.deepEqual([state, error?.code], ["failed", "KV_LEASE_UNKNOWN"], integrity)
      meanwhile = undefined
    }
  })
}

test("a holder believes no longer in its lease than its owner does, however late the answers come", async () => {
  const lateMillis = 300
  const slow: ControlNetwork = {
    listen: tcpControlNetwork.listen,
    connect: async (...how) => late(await tcpControlNetwork.connect(...how)),
  }
  const late = (inner: ControlChannel): ControlChannel => ({
    peer: inner.peer,
    peerHost: inner.peerHost,
    send: (bytes) => inner.send(bytes),
    onBytes: (listener) =>
      inner.onBytes(
        (bytes) => void (slowly ? setTimeout(() => listener(bytes), lateMillis) : listener(bytes)),
      ),
    onClose: (listener) => inner.onClose(listener),
    close: () => inner.close(),
  })
  let slowly = false
  const times = { holdMillis: 1500 }
  const link = cuttable(slow)
  await using pair = await openPair([transports[0]!], {
    source: { times },
    target: { network: link.network },
  })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  slowly = true
  // Once as it was claimed, once as it was renewed.
  const { lease, ends } = lendBlocks(pair.source, 40)
  const held = await pair.target.agent.claim(peer, lease, soon())
  await new Promise((resolve) => setTimeout(resolve, 900))
  assert.deepEqual(ends, [], "it is renewed in time")
  const last = lendBlocks(pair.source, 40)
  const fresh = await pair.target.agent.claim(peer, last.lease, soon())
  link.cut()
  while (ends.length + last.ends.length < 2) await new Promise((resolve) => setTimeout(resolve, 1))
  assert.deepEqual([held.inForce, fresh.inForce], [false, false])
})

test("a block that was reused so often that a counter of 8, 16, 31 or 32 bits could have begun anew is seen as reused", async () => {
  await using pair = await openPair([transports[0]!], { source: { layout }, target: { layout } })
  const { pool, agent } = pair.source
  const stamps = stampsOf(pool.epochs, layout.blocks)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const into = pair.target.pool.allocator.allocate(2)
  const most = 2 ** 31 - 1
  for (const [first, times] of [
    [0, 2 ** 8],
    [0, 2 ** 16],
    [most, 1],
    [-1, 1],
    [most - 5, 2 ** 16],
  ] as const) {
    const blocks = pool.allocator.allocate(2)
    for (const block of blocks) Atomics.store(stamps, block, first)
    const lease = agent.lend({ blocks, tokens, lifetimeMillis: 60_000, onEnd: () => {} })
    const held = await pair.target.agent.claim(peer, lease, soon())
    await using read = pair.target.agent.prepareRead({ lease: held, into, integrity: "epoch" })
    assert.equal((await read.post().receipt).state, "delivered", `stamps of ${first}`)
    for (let time = 0; time < times; time++) {
      pool.allocator.release(blocks)
      assert.deepEqual(pool.allocator.allocate(2), blocks)
    }
    const { error } = await read.post().receipt
    assert.equal(error?.code, "KV_BLOCK_REUSED", `stamps of ${first}, reused ${times} times`)
    await held.release()
    pool.allocator.release(blocks)
  }
})

test("blocks that are used in place and reused meanwhile: the use does not count", async () => {
  const shm = transports.find(({ name }) => name === "shm")!
  for (const level of ["epoch", "sampled", "full"] as const) {
    await using pair = await openPair([shm], { source: { layout }, target: { layout } })
    const peer = await pair.target.agent.connect(pair.address, 5000)
    fillRandom(pair.source)
    const lent = lendBlocks(pair.source, tokens)
    const held = await pair.target.agent.claim(peer, lent.lease, soon())
    await using prepared = await pair.target.agent.prepareAttach(held, level)
    const sound = await prepared.attach()
    await sound.release()
    assert.equal((await sound.ticket.receipt).state, "delivered")
    const used = await prepared.attach()
    pair.source.agent.withdraw(lent.lease)
    lendBlocks(pair.source, tokens)
    fillRandom(pair.source)
    await used.release()
    const { state, error } = await used.ticket.receipt
    assert.equal(state, "failed", `a reuse went through at level ${level}`)
    assert.ok(["KV_BLOCK_REUSED", "KV_LEASE_UNKNOWN"].includes(error?.code ?? ""), error?.code)
  }
})

test("a reuse after the stamps were read harms nothing: every byte had been read before", async () => {
  await using pair = await openPair([transports[0]!], { source: { layout }, target: { layout } })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  fillRandom(pair.source)
  const lent = lendBlocks(pair.source, tokens)
  const before = fingerprintBlocks({ ...pair.source.pool, blocks: lent.blocks, tokens })
  const held = await pair.target.agent.claim(peer, lent.lease, soon())
  const into = pair.target.pool.allocator.allocate(2)
  await using read = pair.target.agent.prepareRead({ lease: held, into, integrity: "epoch" })
  const receipt = await read.post().receipt
  pair.source.agent.withdraw(lent.lease)
  lendBlocks(pair.source, tokens)
  fillRandom(pair.source)
  assert.equal(receipt.state, "delivered")
  assert.deepEqual(fingerprintBlocks({ ...pair.target.pool, blocks: into, tokens }), before)
  assert.equal((await read.post().receipt).error?.code, "KV_BLOCK_REUSED", "and the next read finds it")
})

test("without stamps (level none) a pull still finds that its lease was over; a post of its own cannot", async () => {
  await using pair = await openPair([transports[0]!], { source: { layout }, target: { layout } })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const pulled = lendBlocks(pair.source, tokens)
  const pull = pullOf(pulled.lease, tokens, pair.target, {
    integrity: "none",
    onLanded: () => void pair.source.agent.withdraw(pulled.lease),
  })
  assert.equal((await pair.target.agent.pull(peer, pull).receipt).error?.code, "KV_LEASE_UNKNOWN")
  const posted = lendBlocks(pair.source, tokens)
  const held = await pair.target.agent.claim(peer, posted.lease, soon())
  const into = pair.target.pool.allocator.allocate(2)
  await using read = pair.target.agent.prepareRead({ lease: held, into, integrity: "none" })
  pair.source.agent.withdraw(posted.lease)
  const receipt = await read.post().receipt
  assert.deepEqual([receipt.state, receipt.integrity.verdict], ["delivered", "unchecked"])
})

for (const transport of transports) {
  test(`${transport.name}: a lease that was never claimed in time, or is not renewed, reads nothing`, async () => {
    const link = cuttable(tcpControlNetwork)
    await using pair = await openPair([transport], {
      source: { times: { holdMillis: 500 } },
      target: { network: link.network },
    })
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const late = lendBlocks(pair.source, 40, { lifetimeMillis: 20 })
    while (late.ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(late.ends, ["expired"])
    const pull = pullOf(late.lease, 40, pair.target)
    assert.equal((await pair.target.agent.pull(peer, pull).receipt).error?.code, "KV_LEASE_UNKNOWN")
    const lent = lendBlocks(pair.source, 40)
    const held = await pair.target.agent.claim(peer, lent.lease, soon())
    const into = pair.target.pool.allocator.allocate(3)
    await using read = pair.target.agent.prepareRead({ lease: held, into, integrity: "none" })
    await new Promise((resolve) => setTimeout(resolve, 700))
    assert.deepEqual(lent.ends, [], "signs of life keep it")
    link.cut()
    while (lent.ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(lent.ends, ["expired"])
    assert.equal((await read.post().receipt).error?.code, "KV_LEASE_UNKNOWN", "at every level, also none")
  })

  test(`${transport.name}: a peer that was restarted at the same address is another one: no old lease opens anything there`, async () => {
    await using target = await openSide({ transports: [transport] })
    const first = await openSide({ transports: [transport] })
    const { port } = await first.agent.listen("127.0.0.1", 0)
    const address = `127.0.0.1:${port}`
    const peer = await target.agent.connect(address, 5000)
    const lent = lendBlocks(first, 40)
    const held = await target.agent.claim(peer, lent.lease, soon())
    const into = target.pool.allocator.allocate(3)
    const before = fingerprintBlocks({ ...target.pool, blocks: into, tokens: 40 })
    await using read = target.agent.prepareRead({ lease: held, into, integrity: "none" })
    await first[Symbol.asyncDispose]()
    await using second = await openSide({ transports: [transport] })
    await second.agent.listen("127.0.0.1", port)
    fillRandom(second)
    const receipt = await read.post({ timeoutMillis: 5000 }).receipt
    assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_PEER_LOST"])
    assert.deepEqual(
      fingerprintBlocks({ ...target.pool, blocks: into, tokens: 40 }),
      before,
      "not a byte of it",
    )
    while (target.agent.connections.peers > 0) await new Promise((resolve) => setTimeout(resolve, 2))
    const again = await target.agent.connect(address, 5000)
    assert.notEqual(again.card.bootId, peer.card.bootId)
    const pull = await target.agent.pull(again, pullOf(lent.lease, 40, target)).receipt
    assert.equal(pull.error?.code, "KV_LEASE_UNKNOWN")
  })
}
