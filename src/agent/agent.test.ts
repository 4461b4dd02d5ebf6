import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { wholeModelLayout } from "../kv/kv-layout.ts"
import { loopback } from "../transport/loopback/loopback.ts"
import { tcp } from "../transport/tcp/tcp.ts"
import { type Fault, faults, plantFault } from "../verify/faults.ts"
import { fingerprintBlocks } from "../verify/fingerprint.ts"
import { lendRandom, openPair, openSide, pullOf, shape } from "./agent.test.kit.ts"
import type { PullOptions } from "./pull.ts"

async function assertRejects(action: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(action, (error) => error instanceof KvError && error.code === code)
}

for (const transport of [loopback, tcp]) {
  test(`a lent sequence is pulled over ${transport.name}, proven, and given back`, async () => {
    await using pair = await openPair([transport])
    const { lease, blocks, ends } = lendRandom(pair.source, 77)
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const pull = pullOf(lease, 77, pair.target)
    const receipt = await pair.target.agent.pull(peer, pull).receipt
    assert.equal(receipt.state, "delivered", JSON.stringify(receipt.error))
    assert.equal(receipt.integrity.verdict, "identical")
    assert.equal(receipt.integrity.checked, 3 * 5)
    assert.equal(receipt.bytes, 77 * 3 * 2 * 2 * 8 * 4)
    assert.equal(receipt.path.transport, transport.name)
    assert.deepEqual(
      fingerprintBlocks({
        layout: pair.source.pool.layout,
        spans: pair.source.pool.spans,
        blocks,
        tokens: 77,
      }),
      fingerprintBlocks({ ...pair.target.pool, blocks: pull.into, tokens: 77 }),
    )
    assert.deepEqual(ends, ["released"])
    assert.equal(pair.source.pool.allocator.free, 32)
  })
}

test("a target of another order and block size gets the same content", async () => {
  const target = wholeModelLayout(shape, { blocks: 64, blockTokens: 12, order: "token-major" })
  await using pair = await openPair([tcp], { target: { layout: target } })
  const { lease } = lendRandom(pair.source, 53)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const receipt = await pair.target.agent.pull(peer, pullOf(lease, 53, pair.target)).receipt
  assert.equal(receipt.state, "delivered", JSON.stringify(receipt.error))
})

test("the path is the first that the policy allows and that reaches the peer, with the reasons", async () => {
  await using pair = await openPair([loopback, tcp])
  const peer = await pair.target.agent.connect(pair.address, 5000)
  assert.equal(peer.path.endpoint.transport, "loopback")
  await using source = await openSide({ transports: [tcp] })
  const { port } = await source.agent.listen("127.0.0.1", 0)
  const other = await pair.target.agent.connect(`127.0.0.1:${port}`, 5000)
  assert.match(other.path.why, /tcp: .* \(after loopback: the peer offers no loopback\)/)
})

test("agents without a common path refuse each other, and say why", async () => {
  await using source = await openSide({ transports: [tcp] })
  await using target = await openSide({ transports: [loopback] })
  const { port } = await source.agent.listen("127.0.0.1", 0)
  await assertRejects(target.agent.connect(`127.0.0.1:${port}`, 5000), "KV_TRANSPORT_UNAVAILABLE")
})

test("an agent with another secret learns nothing and gets no session", async () => {
  await using source = await openSide()
  await using stranger = await openSide({ secret: randomBytes(32) })
  const { port } = await source.agent.listen("127.0.0.1", 0)
  await assertRejects(stranger.agent.connect(`127.0.0.1:${port}`, 5000), "KV_PEER_UNTRUSTED")
})

test("an agent of another model is refused with the rule", async () => {
  await using source = await openSide()
  await using other = await openSide({ model: "two" })
  const { port } = await source.agent.listen("127.0.0.1", 0)
  await assert.rejects(other.agent.connect(`127.0.0.1:${port}`, 5000), /rule "model"/)
  const layout = wholeModelLayout({ ...shape, headDim: 16 }, { blocks: 8 })
  await using wider = await openSide({ layout })
  await assert.rejects(wider.agent.connect(`127.0.0.1:${port}`, 5000), /headDim/)
})

test("nobody listening is an error with host and port", async () => {
  await using side = await openSide()
  await assertRejects(side.agent.connect("127.0.0.1:1", 2000), "KV_PEER_UNREACHABLE")
  await assertRejects(side.agent.connect("nonsense", 2000), "KV_USAGE")
})

test("something that is not an agent is an error, not a hang", async () => {
  const { createServer } = await import("node:net")
  const server = createServer((socket) => socket.write("SSH-2.0-OpenSSH_9.2\r\n"))
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(address !== null && typeof address === "object")
  await using side = await openSide()
  await assertRejects(side.agent.connect(`127.0.0.1:${address.port}`, 2000), "KV_WIRE_INVALID")
  server.close()
})

test("garbage on an agent's port does not disturb it", async () => {
  const { connect } = await import("node:net")
  await using pair = await openPair([tcp])
  const port = Number(pair.address.split(":")[1])
  for (const garbage of [randomBytes(5000), Buffer.from("GET / HTTP/1.1\r\n\r\n"), Buffer.alloc(64)]) {
    const socket = connect(port, "127.0.0.1")
    socket.on("error", () => {})
    socket.resume()
    socket.end(garbage)
    await new Promise((resolve) => socket.once("close", resolve))
  }
  const { lease } = lendRandom(pair.source, 16)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const receipt = await pair.target.agent.pull(peer, pullOf(lease, 16, pair.target)).receipt
  assert.equal(receipt.state, "delivered")
})

for (const fault of Object.keys(faults) as Fault[]) {
  test(`a ticket does not end delivered after ${fault}: ${faults[fault]}`, async () => {
    await using pair = await openPair([loopback])
    const tokens = 90
    const { lease } = lendRandom(pair.source, tokens)
    const peer = await pair.target.agent.connect(pair.address, 5000)
    // The target's pool is full of another request's rows.
    lendRandom(pair.target, 16)
    let place = { layer: -1, block: -1 }
    const onLanded: PullOptions["onLanded"] = (sequence) => {
      const planted = plantFault(sequence, { fault }, 0)
      assert.ok(planted.possible)
      place = { layer: planted.layer, block: planted.block }
    }
    const receipt = await pair.target.agent.pull(peer, pullOf(lease, tokens, pair.target, { onLanded }))
      .receipt
    assert.equal(receipt.state, "failed")
    assert.equal(receipt.error?.code, "KV_BYTES_DIFFER")
    assert.equal(receipt.integrity.verdict, "different")
    assert.deepEqual(receipt.integrity.firstDifference, place)
  })
}

test("a lease that has expired is refused, and its blocks came back", async () => {
  await using pair = await openPair([tcp])
  const { lease, ends } = lendRandom(pair.source, 40, 30)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  await new Promise((resolve) => setTimeout(resolve, 80))
  assert.deepEqual(ends, ["expired"])
  const receipt = await pair.target.agent.pull(peer, pullOf(lease, 40, pair.target)).receipt
  assert.equal(receipt.state, "failed")
  assert.equal(receipt.error?.code, "KV_LEASE_UNKNOWN")
  assert.equal(pair.source.pool.allocator.free, 32)
})

test("a lease that ends while it is read does not end delivered", async () => {
  await using pair = await openPair([tcp])
  const { lease } = lendRandom(pair.source, 40)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const onLanded = (): void => {
    pair.source.agent.withdraw(lease)
  }
  const receipt = await pair.target.agent.pull(peer, pullOf(lease, 40, pair.target, { onLanded })).receipt
  assert.equal(receipt.state, "failed")
  assert.equal(receipt.error?.code, "KV_BLOCK_REUSED")
  assert.equal(receipt.integrity.verdict, "reused")
  const lent = lendRandom(pair.source, 40)
  const unchecked = pullOf(lent.lease, 40, pair.target, {
    integrity: "none",
    onLanded: () => void pair.source.agent.withdraw(lent.lease),
  })
  const second = await pair.target.agent.pull(peer, unchecked).receipt
  assert.deepEqual([second.state, second.error?.code], ["failed", "KV_LEASE_UNKNOWN"])
})

test("a lease is for the peer that claimed it first", async () => {
  await using pair = await openPair([tcp])
  await using third = await openSide({ transports: [tcp] })
  const { lease } = lendRandom(pair.source, 40)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  await peer.claim(lease, { deadline: performance.now() + 5000 })
  const other = await third.agent.connect(pair.address, 5000)
  await assertRejects(other.claim(lease, { deadline: performance.now() + 5000 }), "KV_LEASE_UNKNOWN")
})

test("blocks that a dead reader held come back", async () => {
  await using pair = await openPair([tcp])
  const { lease, ends } = lendRandom(pair.source, 40)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  await peer.claim(lease, { deadline: performance.now() + 5000 })
  peer.close()
  while (ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual(ends, ["peer lost"])
  assert.equal(pair.source.pool.allocator.free, 32)
})

test("a source that goes away in mid-life fails the pull, and a newcomer at the same port works", async () => {
  await using target = await openSide({ transports: [tcp] })
  const first = await openSide({ transports: [tcp] })
  const { port } = await first.agent.listen("127.0.0.1", 0)
  const address = `127.0.0.1:${port}`
  const peer = await target.agent.connect(address, 5000)
  const { lease } = lendRandom(first, 40)
  await first[Symbol.asyncDispose]()
  const receipt = await target.agent.pull(peer, pullOf(lease, 40, target)).receipt
  assert.equal(receipt.state, "failed")
  assert.equal(receipt.error?.code, "KV_PEER_LOST")
  await using second = await openSide({ transports: [tcp] })
  await second.agent.listen("127.0.0.1", port)
  const again = await target.agent.connect(address, 5000)
  const lent = lendRandom(second, 40)
  const delivered = await target.agent.pull(again, pullOf(lent.lease, 40, target)).receipt
  assert.equal(delivered.state, "delivered")
})

test("a cancelled transfer ends cancelled, and the lease is given back", async () => {
  await using pair = await openPair([tcp])
  const { lease, ends } = lendRandom(pair.source, 40)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const transfer = pair.target.agent.pull(peer, pullOf(lease, 40, pair.target))
  transfer.cancel()
  const receipt = await transfer.receipt
  assert.equal(receipt.state, "cancelled")
  while (ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
})

test("a number of tokens that the lease does not cover is refused", async () => {
  await using pair = await openPair([loopback])
  const { lease } = lendRandom(pair.source, 40)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const receipt = await pair.target.agent.pull(peer, pullOf(lease, 41, pair.target)).receipt
  assert.equal(receipt.error?.code, "KV_PEER_REFUSED")
})

test("a short secret is refused", async () => {
  await assertRejects(openSide({ secret: randomBytes(8) }), "KV_USAGE")
})
