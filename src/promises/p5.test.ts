/** P5. Any shape to any shape: over every transport, or refused at the handshake with the rule. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { lendRandom, openPair, openSide, pullOf } from "../agent/agent.test.kit.ts"
import { KvError } from "../errors/kv-error.ts"
import { checkedLayout, type KvLayout, wholeModelLayout } from "../kv/kv-layout.ts"
import { fingerprintBlocks, fingerprintHeads } from "../verify/fingerprint.ts"
import { transports } from "./transports.test.kit.ts"

const shape = { layers: 2, kvHeads: 4, headDim: 4, elementBytes: 2 }
const order = fc.constantFrom("head-major", "token-major")

const anyLayout = fc
  .record({ order, blockTokens: fc.integer({ min: 1, max: 33 }) })
  .map(
    ({ order: of, blockTokens }): KvLayout =>
      checkedLayout({ shape, order: of, blockTokens, blocks: 130, firstHead: 0, heads: 4 }),
  )

for (const transport of transports) {
  test(`${transport.name}: any order and block size to any other, proven in full`, async () => {
    await fc.assert(
      fc.asyncProperty(anyLayout, anyLayout, fc.integer({ min: 1, max: 120 }), async (from, to, tokens) => {
        await using pair = await openPair([transport], { source: { layout: from }, target: { layout: to } })
        const { lease, blocks } = lendRandom(pair.source, tokens)
        const peer = await pair.target.agent.connect(pair.address, 5000)
        const pull = pullOf(lease, tokens, pair.target)
        const receipt = await pair.target.agent.pull(peer, pull).receipt
        assert.equal(receipt.state, "delivered", JSON.stringify(receipt.error))
        // Both in one form: hashes over runs of 8 tokens, in head-major order.
        assert.deepEqual(
          fingerprintBlocks({ ...pair.target.pool, blocks: pull.into, tokens }, 8),
          fingerprintBlocks({ ...pair.source.pool, blocks, tokens }, 8),
        )
      }),
      { numRuns: transport.name === "loopback" ? 30 : 2 },
    )
  })

  test(`${transport.name}: a part of the heads goes to a side that holds others too`, async () => {
    const slice = (firstHead: number, heads: number, of: KvLayout["order"]): KvLayout =>
      checkedLayout({ shape, order: of, blockTokens: 8, blocks: 40, firstHead, heads })
    const all = [
      [slice(0, 4, "head-major"), slice(2, 2, "token-major")],
      [slice(1, 2, "token-major"), slice(0, 4, "head-major")],
      [slice(0, 3, "head-major"), slice(1, 3, "head-major")],
    ] as const
    for (const [from, to] of transport.name === "loopback" ? all : all.slice(0, 1)) {
      await using pair = await openPair([transport], { source: { layout: from }, target: { layout: to } })
      const tokens = 29
      const { lease, blocks } = lendRandom(pair.source, tokens)
      const peer = await pair.target.agent.connect(pair.address, 5000)
      const pull = pullOf(lease, tokens, pair.target, { integrity: "epoch" })
      const receipt = await pair.target.agent.pull(peer, pull).receipt
      assert.equal(receipt.state, "delivered", JSON.stringify(receipt.error))
      const first = Math.max(from.firstHead, to.firstHead)
      const end = Math.min(from.firstHead + from.heads, to.firstHead + to.heads)
      const common = (layout: KvLayout, heads: bigint[][][]): bigint[][][] =>
        heads.map((layer) =>
          layer.map((position) =>
            position.slice(2 * (first - layout.firstHead), 2 * (end - layout.firstHead)),
          ),
        )
      assert.deepEqual(
        common(to, fingerprintHeads({ ...pair.target.pool, blocks: pull.into, tokens })),
        common(from, fingerprintHeads({ ...pair.source.pool, blocks, tokens })),
      )
    }
  })
}

test("blocks that are used in place are read in the shape of their owner, whatever the shape of who uses them", async () => {
  const shm = transports.find(({ name }) => name === "shm")!
  const of = (order: KvLayout["order"], blockTokens: number, blocks: number): KvLayout =>
    checkedLayout({ shape, order, blockTokens, blocks, firstHead: 0, heads: 4 })
  const [from, to] = [of("token-major", 7, 30), of("head-major", 16, 20)]
  await using pair = await openPair([shm], { source: { layout: from }, target: { layout: to } })
  for (const level of ["none", "epoch", "sampled", "full"] as const) {
    const tokens = 45
    const { lease, blocks } = lendRandom(pair.source, tokens)
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const held = await pair.target.agent.claim(peer, lease, { deadline: performance.now() + 5000 })
    await using prepared = await pair.target.agent.prepareAttach(held, level)
    const used = await prepared.attach()
    assert.deepEqual(
      fingerprintBlocks(used.sequence, 8),
      fingerprintBlocks({ ...pair.source.pool, blocks, tokens }, 8),
      level,
    )
    await used.release()
    assert.equal((await used.ticket.receipt).state, "delivered", level)
    await held.release()
  }
})

test("blocks beyond the first 4 GiB of a layer are themselves, and not what lies 4 GiB before them", async () => {
  const block = 2 ** 20
  const layout = wholeModelLayout(
    { layers: 1, kvHeads: 1, headDim: 2 ** 15, elementBytes: 2 },
    { blocks: 8300, blockTokens: 8 },
  )
  // No page of it is there before somebody touches it.
  const pages = { pages: "small" } as const
  const offers = { read: true, write: true }
  await using pair = await openPair([transports[0]!, transports[1]!], {
    source: { layout, pages, offers },
    target: { layout, pages, offers },
  })
  const [from, into] = [Uint32Array.of(4100, 3, 8299, 4), Uint32Array.of(5, 4097, 8200, 6)]
  const view = (side: typeof pair.source, at: number) => side.pool.spans[0]!.view(at * block, block)
  for (const [i, at] of from.entries()) view(pair.source, at).fill(i + 1)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const tokens = 4 * 8 - 3
  const tail = (5 * block) / 8 / 2
  const check = (side: typeof pair.source, blocks: Uint32Array): void => {
    for (const [i, at] of blocks.entries()) {
      assert.deepEqual(new Set(view(side, at).subarray(0, tail)), new Set([i + 1]), `block ${at}`)
      view(side, at).fill(0)
    }
  }
  const lease = pair.source.agent.lend({ blocks: from, tokens, lifetimeMillis: 60_000, onEnd: () => {} })
  const pulled = await pair.target.agent.pull(peer, { lease, tokens, into }).receipt
  assert.equal(pulled.state, "delivered", JSON.stringify(pulled.error))
  const room = Uint32Array.of(7, 8298, 8, 4105)
  const access = "write"
  const write = pair.source.agent.lend({
    blocks: room,
    tokens,
    access,
    lifetimeMillis: 60_000,
    onEnd: () => {},
  })
  const pushed = await pair.target.agent.push(peer, { lease: write, from: into, tokens }).receipt
  assert.equal(pushed.state, "delivered", JSON.stringify(pushed.error))
  check(pair.target, into)
  check(pair.source, room)
})

test("another model is refused at the handshake, however much its cache looks the same", async () => {
  await using source = await openSide({ transports: [transports[0]!], model: "one" })
  const { port } = await source.agent.listen("127.0.0.1", 0)
  await using target = await openSide({ transports: [transports[0]!], model: "another" })
  await assert.rejects(target.agent.connect(`127.0.0.1:${port}`, 5000), (error) => {
    assert.ok(error instanceof KvError && error.code === "KV_PEER_REFUSED", String(error))
    assert.match(error.message, /model/)
    return true
  })
})

test("what cannot be planned is refused at the handshake, with the rule and both numbers", async () => {
  await using source = await openSide({ transports: [transports[0]!] })
  const { port } = await source.agent.listen("127.0.0.1", 0)
  const { layout } = source.pool
  const cases: [Partial<KvLayout["shape"]>, RegExp][] = [
    [{ layers: 4 }, /layers/],
    [{ kvHeads: 4 }, /kvHeads/],
    [{ headDim: 16 }, /headDim/],
    [{ elementBytes: 2 }, /elementBytes/],
  ]
  for (const [changes, rule] of cases) {
    const changed = { ...layout, shape: { ...layout.shape, ...changes } }
    await using target = await openSide({ transports: [transports[0]!], layout: changed })
    await assert.rejects(target.agent.connect(`127.0.0.1:${port}`, 5000), (error) => {
      assert.ok(error instanceof KvError && error.code === "KV_PEER_REFUSED", String(error))
      assert.match(error.message, rule)
      return true
    })
  }
})
