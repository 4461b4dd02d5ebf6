/** P8. Everything is bounded: each limit has a name, an error, and room again when something ends. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { connect } from "node:net"
import { test } from "node:test"
import { lendBlocks, openPair, openSide, pullOf } from "../agent/agent.test.kit.ts"
import { callersMax } from "../agent/callers.ts"
import { callsMax } from "../agent/calls.ts"
import type { ControlChannel, ControlNetwork } from "../agent/control-network.ts"
import type { HeldLease } from "../agent/held-lease.ts"
import { leasesMax } from "../agent/lease-book.ts"
import { peersMax } from "../agent/peers.ts"
import { openQuiet } from "../agent/quiet-agents.test.kit.ts"
import { KvError } from "../errors/kv-error.ts"
import { wholeModelLayout } from "../kv/kv-layout.ts"
import { monotonicClock } from "../os/clock.ts"
import { tcpControlNetwork } from "../os/control-net.ts"
import { encodeFrame } from "../wire/control-frame.ts"
import { messageLimits } from "../wire/control-messages.ts"
import { until } from "./process.test.kit.ts"
import { transports } from "./transports.test.kit.ts"

const isLimit = (error: unknown): boolean => {
  assert.ok(error instanceof KvError && error.code === "KV_LIMIT", String(error))
  return true
}
const soon = () => ({ deadline: performance.now() + 30_000 })
const loopback = [transports[0]!]

test(`peers: ${peersMax} may be called at once, also while they are connecting`, async () => {
  const channels: ControlChannel[] = []
  const mute: ControlNetwork = {
    listen: tcpControlNetwork.listen,
    connect: () => {
      const closers: ((why: string) => void)[] = []
      const channel: ControlChannel = {
        peer: "mute",
        peerHost: "127.0.0.1",
        send: () => {},
        onBytes: () => {},
        onClose: (listener) => void closers.push(listener),
        close: () => {
          for (const closer of closers.splice(0)) closer("closed")
        },
      }
      channels.push(channel)
      return Promise.resolve(channel)
    },
  }
  await using side = await openSide({ transports: loopback, network: mute })
  const connecting = Array.from({ length: peersMax }, (_, i) =>
    side.agent.connect(`127.0.0.1:${i + 1}`, 60_000).catch((thrown: unknown) => thrown),
  )
  await assert.rejects(side.agent.connect("127.0.0.1:9999", 60_000), isLimit)
  assert.equal(side.agent.connections.peers, peersMax)
  channels[3]!.close()
  await connecting[3]
  assert.equal(side.agent.connections.peers, peersMax - 1)
})

test(`callers: ${callersMax} at once, strangers among them; when they have gone there is room again`, async () => {
  await using source = await openSide({ transports: loopback, times: { handshakeMillis: 60_000 } })
  const { port } = await source.agent.listen("127.0.0.1", 0)
  const strangers = Array.from({ length: callersMax + 40 }, () => connect(port, "127.0.0.1"))
  for (const socket of strangers) socket.on("error", () => {})
  await until(() => source.agent.connections.callers === callersMax, "they are let in up to the limit")
  await using target = await openSide({ transports: loopback })
  await assert.rejects(target.agent.connect(`127.0.0.1:${port}`, 2000), KvError)
  for (const socket of strangers) socket.destroy()
  await until(() => source.agent.connections.callers === 0, "they are forgotten")
  await target.agent.connect(`127.0.0.1:${port}`, 5000)
})

test("a stranger that says nothing is cut off when its time for the handshake is over", async () => {
  await using source = await openSide({ transports: loopback, times: { handshakeMillis: 50 } })
  const { port } = await source.agent.listen("127.0.0.1", 0)
  const socket = connect(port, "127.0.0.1")
  socket.on("error", () => {})
  socket.resume()
  await new Promise((resolve) => socket.once("close", resolve))
  assert.equal(source.agent.connections.callers, 0)
})

test(`leases: ${leasesMax} at once, and one that ends makes room`, async () => {
  await using side = await openSide({ transports: loopback, integrity: "none" })
  const blocks = Uint32Array.of(0)
  const lend = (): string => side.agent.lend({ blocks, tokens: 1, lifetimeMillis: 60_000, onEnd: () => {} })
  const first = lend()
  for (let i = 1; i < leasesMax; i++) lend()
  assert.throws(lend, isLimit)
  side.agent.withdraw(first)
  lend()
})

test(`calls: ${callsMax} may wait for one peer, and the next is refused at once`, async () => {
  await using pair = await openPair(loopback)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const { lease } = lendBlocks(pair.source, 40)
  const claims = Array.from({ length: callsMax }, () => peer.claim(lease, soon()))
  await assert.rejects(peer.claim(lease, soon()), isLimit)
  assert.equal((await Promise.all(claims)).length, callsMax, "all of them are answered")
})

test("signs of life: however many leases a holder has, each is kept, and each that is over is told", async () => {
  // More than one message can name.
  const many = 5000
  await using quiet = await openQuiet({ source: { integrity: "none", times: { holdMillis: 900 } } })
  const { source, target, clock } = quiet
  const connecting = target.agent.connect(quiet.address, 5000)
  await quiet.settle()
  const peer = await connecting
  const inTime = () => ({ deadline: clock.now() + 5000 })
  const held: HeldLease[] = []
  const ids: string[] = []
  const blocks = Uint32Array.of(0)
  while (ids.length < many) {
    const some = Array.from({ length: 1000 }, () =>
      source.agent.lend({ blocks, tokens: 1, lifetimeMillis: 60_000, onEnd: () => {} }),
    )
    ids.push(...some)
    held.push(...(await Promise.all(some.map((lease) => peer.claim(lease, inTime())))))
  }
  await quiet.pass(4000, 100)
  assert.equal(source.agent.openLeases, many, "the owner has heard of each")
  assert.ok(
    held.every(({ inForce }) => inForce),
    "the holder has heard of each",
  )
  const over = [0, 1, 4094, 4095, 4096, 4097, many - 1]
  for (const i of over) source.agent.withdraw(ids[i]!)
  await quiet.pass(900, 100)
  assert.ok(
    over.every((i) => !held[i]!.inForce),
    "each that is over is told",
  )
  assert.equal(held.filter(({ inForce }) => !inForce).length, over.length)
})

test("proofs: what has landed wrong is compared a few times, and not for ever", async () => {
  const offers = { read: true, write: true }
  await using pair = await openPair(loopback, { source: { offers } })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const { lease, ends } = lendBlocks(pair.source, 40, { access: "write" })
  await peer.claim(lease, soon())
  // Three layers of three blocks, whose hashes are none of these.
  const filled = { tokens: 40, level: "full", hashes: new BigUint64Array(9) } as const
  const codes: unknown[] = []
  for (let i = 0; i < 6; i++) {
    const thrown: unknown = await peer.landed(lease, filled, soon()).catch((error: unknown) => error)
    codes.push(thrown instanceof KvError ? thrown.code : thrown)
  }
  const differ = codes.filter((code) => code === "KV_BYTES_DIFFER").length
  assert.deepEqual(codes.slice(differ), new Array(6 - differ).fill("KV_LIMIT"))
  assert.ok(differ > 0 && differ < 6, codes.join())
  await peer.release(lease, soon())
  assert.deepEqual(ends, ["released"])
})

for (const transport of transports) {
  test(`${transport.name}: far more transfers at once than a connection may have under way all end, delivered or refused in words`, async () => {
    const layout = wholeModelLayout(
      { layers: 1, kvHeads: 1, headDim: 4, elementBytes: 4 },
      { blocks: 2000, blockTokens: 1 },
    )
    await using pair = await openPair([transport], { source: { layout }, target: { layout } })
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const held = await pair.target.agent.claim(peer, lendBlocks(pair.source, 1).lease, soon())
    const reads = Array.from({ length: 1500 }, (_, i) =>
      pair.target.agent.prepareRead({ lease: held, into: Uint32Array.of(i), integrity: "none" }),
    )
    const ends = await Promise.all(reads.map((read) => read.post({ timeoutMillis: 60_000 }).receipt))
    for (const { state, error } of ends) {
      assert.ok(state === "delivered" || error?.code === "KV_LIMIT", error?.what)
    }
    assert.ok(ends.filter(({ state }) => state === "delivered").length >= 500)
    await using again = pair.target.agent.prepareRead({
      lease: held,
      into: Uint32Array.of(7),
      integrity: "none",
    })
    assert.equal((await again.post().receipt).state, "delivered", "and there is room again")
    for (const read of reads) await read[Symbol.asyncDispose]()
  })
}

test("stamps: what transfers of long sequences take for them is there again when they have ended", async () => {
  const layout = wholeModelLayout(
    { layers: 1, kvHeads: 1, headDim: 1, elementBytes: 1 },
    { blocks: 20_000, blockTokens: 1 },
  )
  await using pair = await openPair(loopback, { source: { layout }, target: { layout } })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const { lease } = lendBlocks(pair.source, 20_000)
  const held = await pair.target.agent.claim(peer, lease, soon())
  const into = Uint32Array.from({ length: 20_000 }, (_, block) => block)
  const prepare = () => pair.target.agent.prepareRead({ lease: held, into, integrity: "epoch" })
  const reads: ReturnType<typeof prepare>[] = []
  // As many as there is room for; one that is forgotten makes room for one more, each time. Between them the lease is confirmed.
  const turn = () => new Promise(setImmediate)
  await assert.rejects(async () => {
    for (; reads.length < 1000; await turn()) reads.push(prepare())
  }, isLimit)
  for (let i = 0; i < 2 * reads.length; i++) {
    await reads.shift()![Symbol.asyncDispose]()
    await turn()
    reads.push(prepare())
  }
  const receipt = await reads.at(-1)!.post({ timeoutMillis: 60_000 }).receipt
  assert.deepEqual([receipt.state, receipt.integrity.epochs, receipt.error], ["delivered", 20_000, undefined])
  for (const read of reads) await read[Symbol.asyncDispose]()
})

test("frames: a stranger that names a body beyond the limit, or any attachment, is cut off at its header", async () => {
  await using source = await openSide({ transports: loopback })
  const { port } = await source.agent.listen("127.0.0.1", 0)
  for (const [body, attachment] of [
    [2 ** 31, 0],
    [10, 1],
  ] as const) {
    const header = Buffer.from(encodeFrame({ body: {} }).slice(0, 16))
    header.writeUInt32LE(body, 8)
    header.writeUInt32LE(attachment, 12)
    const socket = connect(port, "127.0.0.1")
    socket.on("error", () => {})
    socket.resume()
    socket.write(header)
    await new Promise((resolve) => socket.once("close", resolve))
  }
  assert.equal(source.agent.connections.callers, 0)
})

test("a peer that does not read what it asked for is cut off, and does not fill this side's memory", async () => {
  // A control channel whose other side reads nothing: what waits there is bounded by the operating side's own limit.
  const { createServer } = await import("node:net")
  const sink = createServer((socket) => {
    socket.pause()
    socket.on("error", () => {})
  })
  await new Promise<void>((resolve) => sink.listen(0, "127.0.0.1", resolve))
  const { port } = sink.address() as { port: number }
  const channel = await tcpControlNetwork.connect("127.0.0.1", port, 2000)
  let why = ""
  channel.onClose((reason) => {
    why = reason
  })
  const chunk = new Uint8Array(16 * 2 ** 20)
  for (let sent = 0; sent < 24 && why === ""; sent++) {
    channel.send(chunk)
    await new Promise(setImmediate)
  }
  await until(() => why !== "", "it is cut off")
  assert.match(why, /left \d+ bytes unread/)
  sink.close()
})

test(`notes: ${messageLimits.note} characters; a longer one is refused here, and the relation lives on`, async () => {
  await using pair = await openPair(loopback)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const note = "n".repeat(messageLimits.note + 1)
  assert.throws(() => peer.notify(note), isLimit)
  const { lease } = lendBlocks(pair.source, 40)
  const refused = await pair.target.agent.pull(peer, pullOf(lease, 40, pair.target, { note })).receipt
  assert.equal(refused.error?.code, "KV_LIMIT")
  const fits = pullOf(lease, 40, pair.target, { note: note.slice(1), integrity: "none" })
  assert.equal((await pair.target.agent.pull(peer, fits).receipt).state, "delivered")
})

test("names: what peers would not read is refused when the agent is opened", async () => {
  for (const agentId of ["", "a b", "x".repeat(129), "tab\t"]) {
    const party = { pid: 1, agentId, bootId: randomBytes(16).toString("hex") }
    await assert.rejects(openSide({ transports: loopback, party }), KvError)
  }
})

test("timers: a wait that is longer than the system's longest does not fire at once", async () => {
  let fired = false
  const cancel = monotonicClock.after(2 ** 40, () => {
    fired = true
  })
  await new Promise((resolve) => setTimeout(resolve, 20))
  cancel()
  assert.equal(fired, false)
})
