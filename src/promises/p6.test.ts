/** P6. Nobody in without a key: no address, no key, no bytes; and a grant is for a direction, until it expires. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { connect } from "node:net"
import { test } from "node:test"
import { fillRandom, lendBlocks, lendRandom, openPair, openSide, pullOf } from "../agent/agent.test.kit.ts"
import type { ControlNetwork } from "../agent/control-network.ts"
import { KvError } from "../errors/kv-error.ts"
import { tcpControlNetwork } from "../os/control-net.ts"
import { PlanBuilder } from "../plan/transfer-plan.ts"
import { fingerprintBlocks } from "../verify/fingerprint.ts"
import { encodeFrame } from "../wire/control-frame.ts"
import { withEndpoints } from "./changed-endpoint.test.kit.ts"
import { cuttable } from "./cuttable.test.kit.ts"
import { transports } from "./transports.test.kit.ts"

const soon = () => ({ deadline: performance.now() + 30_000 })
const isKv =
  (...codes: string[]) =>
  (error: unknown) => {
    assert.ok(error instanceof KvError && codes.includes(error.code), String(error))
    return true
  }

test("a stranger is told a nonce and a refusal: no address, no key, no card, whatever it says", async () => {
  await using source = await openSide({ transports: [...transports] })
  const { port } = await source.agent.listen("127.0.0.1", 0)
  const hello = {
    type: "hello",
    versions: [2],
    credential: "secret",
    nonce: "ab".repeat(32),
    ephemeral: randomBytes(32).toString("hex"),
    agentId: "stranger",
    bootId: "cd".repeat(16),
  }
  const guesses = [
    [hello, { type: "proof", proof: { mac: "00".repeat(32) } }],
    [hello, { type: "present", seal: "00".repeat(32), card: source.agent.card }],
    [{ type: "ask-grant", call: 1, direction: "read" }],
    [hello, { type: "ask-grant", call: 1, direction: "read" }],
    [{ type: "claim", call: 1, lease: "ab".repeat(16) }],
    [hello, hello],
  ]
  for (const messages of guesses) {
    const socket = connect(port, "127.0.0.1")
    let heard = ""
    socket.on("data", (bytes: Buffer) => {
      heard += bytes.toString("latin1")
    })
    socket.on("error", () => {})
    for (const body of messages) socket.write(encodeFrame({ body }))
    await new Promise((resolve) => socket.once("close", resolve))
    for (const secret of [
      "rkeys",
      "regions",
      "endpoints",
      "socket",
      "host",
      "layout",
      source.agent.card.bootId,
    ]) {
      assert.ok(!heard.includes(`"${secret}"`), `a stranger was told "${secret}": ${heard}`)
    }
    assert.ok(heard.length < 2000)
  }
  while (source.agent.connections.callers > 0) await new Promise((resolve) => setTimeout(resolve, 2))
})

for (const transport of transports) {
  test(`${transport.name}: who knows the address and the keys, and has no session, moves nothing`, async () => {
    let id = ""
    const seen = withEndpoints(transport, (inner) => ({
      connect(session, ...how) {
        id = session.id
        return inner.connect(session, ...how)
      },
    }))
    await using pair = await openPair([transport], { target: { transports: [seen] } })
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const { address, regions } = peer.path.remote
    const stranger = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
    const forged = { id, key: randomBytes(32) }
    for (const session of [stranger, forged]) {
      const how = { ...soon(), peerHost: "127.0.0.1", regions }
      await assert.rejects(
        pair.target.endpoints[0]!.connect(session, address, how),
        isKv("KV_PEER_UNTRUSTED", "KV_PEER_LOST"),
      )
    }
  })

  test(`${transport.name}: a read grant cannot write: not by a push, and not with the keys in hand`, async () => {
    await using pair = await openPair([transport])
    const { blocks } = lendRandom(pair.source, 40)
    const before = fingerprintBlocks({ ...pair.source.pool, blocks, tokens: 40 })
    fillRandom(pair.target)
    const peer = await pair.target.agent.connect(pair.address, 5000)
    await assert.rejects(peer.writer(soon()), isKv("KV_PEER_UNTRUSTED"))
    const builder = new PlanBuilder(1)
    builder.add(0, 0, peer.layers[0]!.region, 0, pair.source.pool.spans[0]!.byteLength, 0)
    const move = { direction: "write", plan: builder.finish(), remote: peer.layers, ...soon() } as const
    await assert.rejects(async () => peer.connection.move(move), isKv("KV_PEER_UNTRUSTED", "KV_PEER_LOST"))
    assert.deepEqual(fingerprintBlocks({ ...pair.source.pool, blocks, tokens: 40 }), before)
  })

  test(`${transport.name}: after a grant has expired nothing moves any more, and what had moved stays as it was`, async () => {
    const link = cuttable(tcpControlNetwork)
    await using pair = await openPair([transport], {
      source: { times: { grantMillis: 700 } },
      target: { network: link.network },
    })
    const { lease, ends } = lendRandom(pair.source, 40)
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const held = await pair.target.agent.claim(peer, lease, soon())
    const into = pair.target.pool.allocator.allocate(3)
    await using read = pair.target.agent.prepareRead({ lease: held, into, integrity: "none" })
    assert.equal((await read.post().receipt).state, "delivered")
    // So that it cannot be renewed.
    link.cut()
    while (ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(ends, ["peer lost"])
    const before = fingerprintBlocks({ ...pair.target.pool, blocks: into, tokens: 40 })
    fillRandom(pair.source)
    const receipt = await read.post({ timeoutMillis: 2000 }).receipt
    assert.equal(receipt.state, "failed")
    assert.deepEqual(fingerprintBlocks({ ...pair.target.pool, blocks: into, tokens: 40 }), before)
  })
}

test("no two frames are sealed alike, also when the same is said more often than 16 bits can count", async () => {
  const tags = new Set<string>()
  let sent = 0
  const tapped: ControlNetwork = {
    listen: (...how) => tcpControlNetwork.listen(...how),
    async connect(...how) {
      const channel = await tcpControlNetwork.connect(...how)
      return {
        peer: channel.peer,
        peerHost: channel.peerHost,
        send(bytes) {
          sent += 1
          // Behind the header, which says only how long it is.
          tags.add(Buffer.from(bytes.subarray(16)).toString("latin1"))
          channel.send(bytes)
        },
        onBytes: (listener) => channel.onBytes(listener),
        onClose: (listener) => channel.onClose(listener),
        close: () => channel.close(),
      }
    },
  }
  await using pair = await openPair([transports[0]!], { target: { network: tapped } })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  for (let frame = 0; frame < 2 ** 16 + 300; frame++) {
    peer.notify("the same")
    if (frame % 256 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(sent > 2 ** 16)
  assert.equal(tags.size, sent)
})

test("who reads and writes keeps both grants, for as long as it asks for them anew", async () => {
  await using pair = await openPair([transports[0]!], {
    source: { times: { grantMillis: 2000 }, offers: { read: true, write: true } },
    target: { times: { holdMillis: 300 } },
  })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  for (let round = 0; round < 6; round++) {
    const { lease } = lendRandom(pair.source, 40)
    const pull = pullOf(lease, 40, pair.target)
    const read = await pair.target.agent.pull(peer, pull).receipt
    assert.equal(read.state, "delivered", `round ${round}: ${JSON.stringify(read.error)}`)
    const room = lendBlocks(pair.source, 40, { access: "write" })
    const push = { lease: room.lease, from: pull.into, tokens: 40 }
    const written = await pair.target.agent.push(peer, push).receipt
    assert.equal(written.state, "delivered", `round ${round}: ${JSON.stringify(written.error)}`)
    pair.target.pool.allocator.release(pull.into)
    await new Promise((resolve) => setTimeout(resolve, 700))
  }
})

test("a lease is for who claimed it: another authenticated peer gets neither blocks nor seals", async () => {
  await using pair = await openPair([transports[0]!])
  await using third = await openSide({ transports: [transports[0]!] })
  const { lease } = lendRandom(pair.source, 40)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  await peer.claim(lease, soon())
  const other = await third.agent.connect(pair.address, 5000)
  await assert.rejects(other.claim(lease, soon()), isKv("KV_LEASE_UNKNOWN"))
  await assert.rejects(other.seals(lease, soon()), isKv("KV_LEASE_UNKNOWN"))
  await assert.rejects(other.release(lease, soon()), isKv("KV_LEASE_UNKNOWN"))
  const filled = { tokens: 40, level: "none", hashes: new BigUint64Array(0) } as const
  await assert.rejects(other.landed(lease, filled, soon()), isKv("KV_LEASE_UNKNOWN"))
  await peer.release(lease, soon())
})

test("an offer of reads only registers its regions for reading only, and the others are refused in words", async () => {
  await using pair = await openPair([transports[0]!])
  const { lease } = lendBlocks(pair.source, 40, { access: "write" })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const from = pair.target.pool.allocator.allocate(3)
  const receipt = await pair.target.agent.push(peer, { lease, from, tokens: 40 }).receipt
  assert.match(receipt.error?.why ?? "", /grants no write to anybody/)
  const read = await pair.target.agent.pull(peer, pullOf(lease, 40, pair.target)).receipt
  assert.equal(read.error?.code, "KV_LEASE_UNKNOWN", "and what is lent for writing is not read")
})

for (const transport of transports.slice(0, 2)) {
  test(`${transport.name}: a grant is renewed while both sides live, to read and to write, whichever was asked for first`, async () => {
    const offers = { read: true, write: true }
    const times = { grantMillis: 600, holdMillis: 150 }
    await using pair = await openPair([transport], { source: { offers, times }, target: { times } })
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const from = pair.target.pool.allocator.allocate(3)
    const began = performance.now()
    // Several times its life.
    while (performance.now() < began + 4 * times.grantMillis) {
      const room = lendBlocks(pair.source, 40, { access: "write" })
      const pushed = pair.target.agent.push(peer, { lease: room.lease, from, tokens: 40 })
      assert.equal((await pushed.receipt).state, "delivered")
      const pull = pullOf(lendBlocks(pair.source, 40).lease, 40, pair.target)
      assert.equal((await pair.target.agent.pull(peer, pull).receipt).state, "delivered")
      pair.target.pool.allocator.release(pull.into)
      assert.equal(peer.lost, undefined)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })
}
