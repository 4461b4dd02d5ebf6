import assert from "node:assert/strict"
import { test } from "node:test"
import { blocksFor, wholeModelLayout } from "../kv/kv-layout.ts"
import { transports } from "../promises/transports.test.kit.ts"
import { fingerprintBlocks } from "../verify/fingerprint.ts"
import { plainHasher } from "../verify/hasher.ts"
import { fillRandom, lendBlocks, openPair, type Pair, type Side, shape } from "./agent.test.kit.ts"
import type { Notice } from "./caller.ts"
import type { PushOptions } from "./push.ts"

const rights = { read: true, write: true }

/** A target that lends for writing, which listens, and a source that pushes. */
async function openWriters(
  transport: Parameters<typeof openPair>[0][number],
  more: Parameters<typeof openPair>[1] = {},
): Promise<Pair & { readonly notices: Notice[] }> {
  const notices: Notice[] = []
  const onNotice = (notice: Notice): void => void notices.push(notice)
  const pair = await openPair([transport], {
    source: { offers: rights, onNotice, ...more.source },
    target: { ...more.target },
  })
  return { ...pair, notices }
}

function pushOf(side: Side, lease: string, tokens: number, more: Partial<PushOptions> = {}): PushOptions {
  const from = side.pool.allocator.allocate(blocksFor(tokens, side.pool.layout.blockTokens))
  return { lease, from, tokens, timeoutMillis: 20_000, ...more }
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

for (const transport of transports) {
  test(`${transport.name}: a push fills the lent blocks, the owner proves them, and they are its own again`, async () => {
    await using pair = await openWriters(transport)
    const { lease, blocks, ends } = lendBlocks(pair.source, 77, { access: "write" })
    fillRandom(pair.target)
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const options = pushOf(pair.target, lease, 77, { note: "here it is" })
    const receipt = await pair.target.agent.push(peer, options).receipt
    assert.equal(receipt.state, "delivered", JSON.stringify(receipt.error))
    assert.deepEqual([receipt.direction, receipt.integrity.checked], ["write", 3 * 5])
    assert.equal(receipt.integrity.verdict, "identical")
    assert.deepEqual(
      [receipt.source.bootId, receipt.target.bootId],
      [pair.target.agent.card.bootId, pair.source.agent.card.bootId],
    )
    assert.deepEqual(
      fingerprintBlocks({ ...pair.source.pool, blocks, tokens: 77 }),
      fingerprintBlocks({ ...pair.target.pool, blocks: options.from, tokens: 77 }),
    )
    assert.deepEqual(ends, ["landed"])
    assert.deepEqual(
      pair.notices.map(({ text, lease: of }) => [text, of]),
      [["here it is", lease]],
    )
  })

  test(`${transport.name}: bytes that differ from the writer's hashes are found by the owner, and the push fails`, async () => {
    let broken = true
    const hasher: typeof plainHasher = {
      async hash(sequence, unitTokens, units) {
        const hashes = await plainHasher.hash(sequence, unitTokens, units)
        if (broken) hashes[hashes.length - 1]! ^= 1n
        return hashes
      },
    }
    await using pair = await openWriters(transport, { target: { hasher } })
    fillRandom(pair.target)
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const bad = lendBlocks(pair.source, 40, { access: "write" })
    const receipt = await pair.target.agent.push(peer, pushOf(pair.target, bad.lease, 40)).receipt
    assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_BYTES_DIFFER"])
    assert.match(receipt.error?.what ?? "", /layer 2, block 2/)
    await until(() => bad.ends.length > 0)
    assert.deepEqual(bad.ends, ["released"], "nothing writes there any more")
    broken = false
    const good = lendBlocks(pair.source, 40, { access: "write" })
    const next = await pair.target.agent.push(peer, pushOf(pair.target, good.lease, 40)).receipt
    assert.equal(next.state, "delivered", "the relation is unharmed")
  })

  test(`${transport.name}: a peer without the right to write is refused, and moves nothing`, async () => {
    await using pair = await openWriters(transport, { source: { offers: { read: true, write: false } } })
    const { lease, blocks, ends } = lendBlocks(pair.source, 40, { access: "write" })
    const before = fingerprintBlocks({ ...pair.source.pool, blocks, tokens: 40 })
    fillRandom(pair.target)
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const receipt = await pair.target.agent.push(peer, pushOf(pair.target, lease, 40)).receipt
    assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_PEER_UNTRUSTED"])
    assert.deepEqual(fingerprintBlocks({ ...pair.source.pool, blocks, tokens: 40 }), before)
    await until(() => ends.length > 0)
  })

  test(`${transport.name}: another number of tokens than was lent is refused before a byte moves`, async () => {
    await using pair = await openWriters(transport)
    const peer = await pair.target.agent.connect(pair.address, 5000)
    for (const tokens of [39, 41]) {
      const { lease, blocks, ends } = lendBlocks(pair.source, 40, { access: "write" })
      const before = fingerprintBlocks({ ...pair.source.pool, blocks, tokens: 40 })
      fillRandom(pair.target)
      const receipt = await pair.target.agent.push(peer, pushOf(pair.target, lease, tokens)).receipt
      assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_PEER_REFUSED"])
      assert.deepEqual(fingerprintBlocks({ ...pair.source.pool, blocks, tokens: 40 }), before)
      await until(() => ends.length > 0)
    }
  })

  test(`${transport.name}: a lease that was lent for reading is not written`, async () => {
    await using pair = await openWriters(transport)
    const { lease, blocks } = lendBlocks(pair.source, 40)
    const before = fingerprintBlocks({ ...pair.source.pool, blocks, tokens: 40 })
    fillRandom(pair.target)
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const receipt = await pair.target.agent.push(peer, pushOf(pair.target, lease, 40)).receipt
    assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_USAGE"])
    assert.deepEqual(fingerprintBlocks({ ...pair.source.pool, blocks, tokens: 40 }), before)
  })

  test(`${transport.name}: a write lease that is taken back fences its writer off before the blocks are reused`, async () => {
    await using pair = await openWriters(transport)
    const { lease, ends } = lendBlocks(pair.source, 40, { access: "write" })
    const peer = await pair.target.agent.connect(pair.address, 5000)
    await peer.writer({ deadline: performance.now() + 5000 })
    const held = await peer.claim(lease, { deadline: performance.now() + 5000 })
    const free = pair.source.pool.allocator.free
    pair.source.agent.withdraw(lease)
    assert.deepEqual([ends, pair.source.pool.allocator.free], [[], free], "not before it is fenced off")
    await until(() => ends.length > 0)
    assert.deepEqual(ends, ["withdrawn"])
    await until(() => peer.lost !== undefined)
    assert.equal(held.inForce, false)
    const again = await pair.target.agent.connect(pair.address, 5000)
    const next = lendBlocks(pair.source, 40, { access: "write" })
    const receipt = await pair.target.agent.push(again, pushOf(pair.target, next.lease, 40)).receipt
    assert.equal(receipt.state, "delivered", "the same writer comes back by a new handshake")
  })
}

test("a push with another layout on the other side is proven over the writer's own blocks", async () => {
  const layout = wholeModelLayout(shape, { blocks: 64, blockTokens: 12, order: "token-major" })
  await using pair = await openWriters(transports[0]!, { target: { layout } })
  const { lease } = lendBlocks(pair.source, 53, { access: "write" })
  fillRandom(pair.target)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const receipt = await pair.target.agent.push(peer, pushOf(pair.target, lease, 53)).receipt
  assert.equal(receipt.state, "delivered", JSON.stringify(receipt.error))
})
