/** P3. Never other than asked: what a program tells the library is what happens, and what it hears from it is so. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { connect, createServer, type Socket } from "node:net"
import { test } from "node:test"
import { wholeModelLayout } from "../kv/kv-layout.ts"
import { KvError, type Notice, openAgent, TicketFailed, type TransferReceipt } from "../library/index.ts"
import { until } from "./process.test.kit.ts"

const layout = wholeModelLayout({ layers: 3, kvHeads: 2, headDim: 8, elementBytes: 4 }, { blocks: 40 })
const secret = randomBytes(32)
const tokens = 50

const isKv = (code: string) => (error: unknown) => {
  assert.ok(error instanceof KvError && error.code === code, String(error))
  return true
}

type Options = Parameters<typeof openAgent>[0]

/** Two programs of one machine, each with a cache. */
async function openBoth(path: string, own: { readonly source?: Options; readonly target?: Options } = {}) {
  const heard: Notice[] = []
  const receipts: TransferReceipt[] = []
  const shared = { credentials: { secret }, paths: [path], offers: { read: true, write: true } }
  const prefill = await openAgent({
    ...shared,
    name: "prefill",
    onNotice: (notice) => void heard.push(notice),
    ...own.source,
  })
  const decode = await openAgent({
    ...shared,
    name: "decode",
    onReceipt: (receipt) => void receipts.push(receipt),
    ...own.target,
  })
  const source = await prefill.registerCache({ layout })
  const target = await decode.registerCache({ layout })
  for (let layer = 0; layer < 3; layer++) {
    for (let block = 0; block < layout.blocks; block++)
      source.view(layer, block).set(randomBytes(source.view(layer, block).byteLength))
  }
  return {
    source,
    target,
    decode: decode.party,
    heard,
    receipts,
    async [Symbol.asyncDispose]() {
      await decode[Symbol.asyncDispose]()
      await prefill[Symbol.asyncDispose]()
    },
  }
}

/** A way to a cache that can be held up: from then on nothing comes through it. */
async function holdUp(address: string) {
  const to = Number(address.split(":").at(-1))
  const sockets: Socket[] = []
  let held = false
  const server = createServer((near) => {
    const far = connect(to, "127.0.0.1")
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from)
      from.on("error", () => {})
      from.on("data", (bytes) => void (held || into.write(bytes)))
      from.on("close", () => into.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { port: number }
  return {
    address: `127.0.0.1:${port}`,
    hold: () => {
      held = true
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

for (const path of ["shm", "tcp"]) {
  test(`${path}: what peers say arrives whole, in order, once each, also when much is said at once`, async () => {
    await using both = await openBoth(path)
    const { source, target, heard } = both
    const peer = await target.connect(source.address)
    const said: [string, Uint8Array][] = []
    const say = (text: string, bytes: Uint8Array): void => {
      said.push([text, bytes.slice()])
      target.notify(peer, text, bytes)
    }
    // In one turn; then as fast as it goes; then at leisure.
    for (let i = 0; i < 300; i++) say(i % 7 === 0 ? "the same" : `note ${i} ü`, randomBytes(i % 5))
    for (let i = 0; i < 100; i++) {
      say(`turn ${i}`, new Uint8Array(0))
      await new Promise(setImmediate)
    }
    for (const length of [1, 255, 65_536, 65_537, 2 ** 20 + 3]) {
      say("n".repeat(Math.min(4096, length)), randomBytes(length))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    await until(() => heard.length >= said.length, "all of it is heard")
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal(heard.length, said.length)
    for (const [i, { from, bootId, text, attachment, lease }] of heard.entries()) {
      assert.deepEqual([from, bootId, lease], ["decode", both.decode.bootId, undefined])
      assert.equal(text, said[i]![0])
      assert.ok(Buffer.from(attachment).equals(said[i]![1]), `the bytes behind note ${i}`)
    }
    await peer[Symbol.asyncDispose]()
    assert.throws(() => target.notify(peer, "nobody hears this"), isKv("KV_PEER_LOST"))
  })

  test(`${path}: each end of a lease is told as what it was, with its note, once; and who took it back knows whether there was anything to take`, async () => {
    await using both = await openBoth(path)
    const { source, target, heard, receipts } = both
    const peer = await target.connect(source.address)
    const [blocks, mine] = [source.allocate(tokens), target.allocate(tokens)]
    const lend = (access: "read" | "write", lifetimeMillis?: number) =>
      source.lend(blocks, { tokens, access, ...(lifetimeMillis === undefined ? {} : { lifetimeMillis }) })
    const expected: [string, string][] = []

    const read = lend("read")
    await target.read(peer, { lease: read.id, into: mine, note: "read" }).done
    expected.push(["read", read.id])
    assert.equal(await read.ended, "released")
    assert.equal(read.withdraw(), false)

    const written = lend("write")
    await target.write(peer, { lease: written.id, from: mine, tokens, note: "written" }).done
    expected.push(["written", written.id])
    assert.equal(await written.ended, "landed")
    assert.equal(written.withdraw(), false)

    const held = lend("read")
    const lease = await target.claim(peer, held.id)
    await lease.release({ note: "held" })
    expected.push(["held", held.id])
    assert.equal(await held.ended, "released")

    const began = performance.now()
    const late = lend("read", 60)
    assert.equal(await late.ended, "expired")
    const lasted = performance.now() - began
    assert.ok(lasted >= 55 && lasted < 10_000, `an offer of 60 ms lasted ${lasted}`)

    const taken = lend("read")
    assert.equal(taken.withdraw(), true)
    assert.equal(taken.withdraw(), false)
    assert.equal(await taken.ended, "withdrawn")
    const failed = await target.read(peer, { lease: taken.id, into: mine, note: "failed" }).receipt
    assert.equal(failed.error?.code, "KV_LEASE_UNKNOWN")

    await until(() => heard.length >= expected.length, "each note")
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepEqual(
      heard.map(({ text, lease: id }) => [text, id]),
      expected,
    )
    // Also of those that failed; a claim alone is no transfer.
    assert.deepEqual(
      receipts.map(({ state, direction }) => [state, direction]),
      [
        ["delivered", "read"],
        ["delivered", "write"],
        ["failed", "read"],
      ],
    )

    const lost = lend("read")
    await target.claim(peer, lost.id)
    await peer[Symbol.asyncDispose]()
    assert.equal(await lost.ended, "peer lost")
    assert.equal(source.openLeases, 0)
  })

  test(`${path}: an answer is waited for as long as was asked, and no longer`, async () => {
    await using both = await openBoth(path)
    const { source, target } = both
    const way = await holdUp(source.address)
    try {
      const peer = await target.connect(way.address, { timeoutMillis: 10_000 })
      const { id } = source.lend(source.allocate(tokens), { tokens })
      way.hold()
      const asked = performance.now()
      const abort = new AbortController()
      const cancelled = target.claim(peer, id, { signal: abort.signal })
      abort.abort()
      await assert.rejects(cancelled, isKv("KV_CANCELLED"))
      await assert.rejects(target.claim(peer, id, { timeoutMillis: 40 }), isKv("KV_DEADLINE"))
      const read = target.read(peer, { lease: id, into: target.allocate(tokens), timeoutMillis: 40 })
      await assert.rejects(read.done, (error) => error instanceof TicketFailed && isKv("KV_DEADLINE")(error))
      // The second one waits for what the first one began, and no longer than it wants to.
      const mute = createServer((socket) => void socket.on("error", () => {}).unref())
      await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve))
      const { port } = mute.address() as { port: number }
      await assert.rejects(target.connect(`127.0.0.1:${port}`, { timeoutMillis: 40 }), isKv("KV_DEADLINE"))
      mute.close()
      const millis = performance.now() - asked
      assert.ok(millis < 5000, `all of that took ${millis} ms`)
    } finally {
      way.close()
    }
  })

  test(`${path}: the level that a program or a transfer asks for is the one that it gets`, async () => {
    for (const own of ["none", "full"] as const) {
      await using both = await openBoth(path, { target: { integrity: own } })
      const { source, target } = both
      const peer = await target.connect(source.address)
      const [blocks, mine] = [source.allocate(tokens), target.allocate(tokens)]
      for (const asked of [undefined, "none", "epoch", "sampled", "full"] as const) {
        const integrity = asked === undefined ? {} : { integrity: asked }
        const lease = source.lend(blocks, { tokens }).id
        const used: TransferReceipt[] = [await target.read(peer, { lease, into: mine, ...integrity }).done]
        const room = source.lend(blocks, { tokens, access: "write" }).id
        used.push(await target.write(peer, { lease: room, from: mine, tokens, ...integrity }).done)
        const held = await target.claim(peer, source.lend(blocks, { tokens }).id)
        const prepared = target.prepareRead(held, mine, integrity)
        used.push(await prepared.post().done)
        await prepared[Symbol.asyncDispose]()
        if (path === "shm") {
          const inPlace = await target.prepareAttach(held, integrity)
          const { ticket, sequence, release } = await inPlace.attach()
          assert.ok(
            Buffer.from(sequence.spans[1]!.view(0, 4096)).equals(Buffer.from(viewOf(source, 1))),
            "the bytes of the owner, in place",
          )
          await release()
          used.push(await ticket.done)
          await inPlace[Symbol.asyncDispose]()
        } else await assert.rejects(target.prepareAttach(held), isKv("KV_TRANSPORT_UNAVAILABLE"))
        await held.release()
        for (const { integrity: proof, direction, mode } of used)
          assert.equal(proof.level, asked ?? own, `${direction}, ${mode}, asked for ${asked} of ${own}`)
      }
    }
  })
}

/** The first 4,096 bytes of a layer: those of its first blocks. */
function viewOf(cache: Awaited<ReturnType<typeof openBoth>>["source"], layer: number): Uint8Array {
  const bytes = cache.view(layer, 0).byteLength
  const parts = Array.from({ length: Math.ceil(4096 / bytes) }, (_, block) => cache.view(layer, block))
  return Buffer.concat(parts).subarray(0, 4096)
}

test("a cache hands out each block once, takes it back once, and says what is left", async () => {
  await using both = await openBoth("tcp")
  const { source } = both
  const first = source.allocate(tokens)
  assert.equal(source.free, layout.blocks - first.length)
  const rest = source.allocate(source.free * layout.blockTokens)
  assert.deepEqual(new Set([...first, ...rest]).size, layout.blocks)
  assert.throws(() => source.allocate(1), isKv("KV_POOL_EXHAUSTED"))
  source.release(first)
  assert.throws(() => source.release(first), "given back twice, it would be two requests'")
  assert.equal(source.free, first.length)
  const again = source.allocate(tokens)
  assert.deepEqual(new Set([...again, ...rest]).size, layout.blocks)
})
