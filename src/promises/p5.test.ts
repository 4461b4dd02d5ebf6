/** P5. Any shape to any shape: over every transport, or refused at the handshake with the rule. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { lendRandom, openPair, openSide, pullOf } from "../agent/agent.test.kit.ts"
import { KvError } from "../errors/kv-error.ts"
import { checkedLayout, type KvLayout } from "../kv/kv-layout.ts"
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
