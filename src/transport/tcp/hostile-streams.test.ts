import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { readdirSync } from "node:fs"
import { after, test } from "node:test"
import { PlanBuilder } from "../../plan/transfer-plan.ts"
import {
  direction,
  greetingBytes,
  headerBytes,
  helloBytes,
  nonceBytes,
  pieceBytes,
  type RequestHeader,
  readRequest,
  readResponse,
  requestBytesMax,
  requestPiecesMax,
  status,
} from "../../wire/stream-frames.ts"
import type { Connection } from "../transport.ts"
import {
  answer,
  assertInStep,
  callHostile,
  type Entry,
  hello,
  isKv,
  mib,
  nonceOf,
  openHonest,
  openRig,
  planOf,
  provenStream,
  Raw,
  regionBytes,
  request,
  until,
  welcome,
} from "./raw-stream.test.kit.ts"
import { tcp } from "./tcp.ts"

const openDescriptors = (): number => readdirSync("/proc/self/fd").length

// These wait through the other tests: more silent strangers than the mover lets in at once.
const siege = await openRig()
const strangers = await Promise.all(Array.from({ length: 70 }, () => Raw.dial(siege.port)))
after(async () => {
  for (const { socket } of strangers) socket.destroy()
  await siege[Symbol.asyncDispose]()
})

test("garbage in place of a hello is answered with a refusal and cut off; others are not disturbed", async () => {
  await using rig = await openRig()
  await using honest = await openHonest(rig)
  const blobs = [
    Buffer.alloc(helloBytes),
    Buffer.alloc(helloBytes, 0xff),
    randomBytes(100_000),
    Buffer.from(`GET /${"x".repeat(200)} HTTP/1.1\r\n\r\n`),
  ]
  for (const blob of blobs) {
    const raw = await Raw.dial(rig.port)
    await raw.take(greetingBytes)
    raw.socket.write(blob)
    await raw.closed
    await honest.read()
  }
})

test("a proof is for one stream: another's, another session's and another key's are refused", async () => {
  await using rig = await openRig()
  const first = await Raw.dial(rig.port)
  const recorded = hello(rig.session, await nonceOf(first))
  const second = await Raw.dial(rig.port)
  const nonce = await nonceOf(second)
  const stranger = { id: randomBytes(16).toString("hex"), key: rig.session.key }
  const forger = { id: rig.session.id, key: randomBytes(32) }
  second.socket.write(recorded)
  assert.equal(readResponse(await second.take(headerBytes))?.status, status.untrusted)
  await second.assertCutOff()
  for (const session of [stranger, forger]) {
    const raw = await Raw.dial(rig.port)
    raw.socket.write(hello(session, await nonceOf(raw)))
    assert.equal(readResponse(await raw.take(headerBytes))?.status, status.untrusted)
    await raw.assertCutOff()
  }
  assert.notDeepEqual(nonce, Buffer.alloc(nonceBytes), "nonces are drawn")
  first.socket.write(recorded)
  assert.equal(readResponse(await first.take(headerBytes))?.status, status.ok)
  first.socket.destroy()
})

test("bytes that come one by one, and several requests that come at once, are answered in order", async () => {
  await using rig = await openRig()
  const raw = await Raw.dial(rig.port)
  for (const byte of hello(rig.session, await nonceOf(raw))) raw.socket.write(Uint8Array.of(byte))
  assert.equal(readResponse(await raw.take(headerBytes))?.status, status.ok)
  const rkey = rig.descriptor.rkeys[0]!
  for (const byte of request({ batch: 9 }, [[rkey, 3, 0]])) raw.socket.write(Uint8Array.of(byte))
  assert.equal(readResponse(await raw.take(headerBytes))?.batch, 9)
  await raw.take(3)
  const batches = Array.from({ length: 50 }, (_, i) => i + 100)
  raw.socket.write(Buffer.concat(batches.map((batch) => request({ batch }, [[rkey, 10, batch * 4096]]))))
  for (const batch of batches) {
    assert.equal(readResponse(await raw.take(headerBytes))?.batch, batch)
    assert.deepEqual(Buffer.from((await raw.take(10)).buffer), Buffer.alloc(10, batch))
  }
  await assertInStep(raw, rig)
  raw.socket.destroy()
})

test("a request header that cannot be ours ends the stream", async () => {
  await using rig = await openRig()
  const entry: Entry = [rig.descriptor.rkeys[0]!, 8, 0]
  const headers: Partial<RequestHeader>[] = [
    { direction: 0 },
    { direction: 3 },
    { pieces: 0 },
    { pieces: requestPiecesMax + 1 },
    { pieces: 0xffffffff },
    { bytes: 0 },
    { bytes: -8 },
    { bytes: 0.5 },
    { bytes: Number.NaN },
    { bytes: Number.POSITIVE_INFINITY },
    { bytes: 2 ** 60 },
    { bytes: requestBytesMax + 1 },
  ]
  for (const header of headers) {
    const raw = await provenStream(rig)
    raw.socket.write(request(header, [entry]))
    await raw.assertCutOff()
  }
  const raw = await provenStream(rig)
  const unmarked = request({}, [entry])
  unmarked[0]! ^= 1
  raw.socket.write(unmarked)
  await raw.assertCutOff()
})

test("a table with a bad line moves nothing, names the line, and leaves the stream in step", async () => {
  await using rig = await openRig()
  const rkey = rig.descriptor.rkeys[0]!
  const good: Entry = [rkey, 16, 0]
  const raw = await provenStream(rig)
  const bad: [Entry, number][] = [
    [[(rkey ^ 1) >>> 0, 16, 0], status.rkeyRejected],
    [[rkey, 16, regionBytes - 15], status.outOfBounds],
    [[rkey, 16, -1], status.outOfBounds],
    [[rkey, 16, 0.5], status.outOfBounds],
    [[rkey, 16, Number.NaN], status.outOfBounds],
    [[rkey, 16, Number.POSITIVE_INFINITY], status.outOfBounds],
    [[rkey, 16, 2 ** 60], status.outOfBounds],
    [[rkey, 0, 0], status.outOfBounds],
  ]
  for (const [entry, expected] of bad) {
    const entries = Array.from({ length: requestPiecesMax }, (_, i) =>
      i === requestPiecesMax - 1 ? entry : good,
    )
    raw.socket.write(request({ batch: 3 }, entries))
    const answer = readResponse(await raw.take(headerBytes))
    assert.deepEqual(answer, { status: expected, batch: 3, piece: requestPiecesMax - 1, bytes: 0 })
    await assertInStep(raw, rig)
  }
  raw.socket.write(request({ batch: 4 }, Array<Entry>(requestPiecesMax).fill([(rkey ^ 1) >>> 0, 9, 0])))
  assert.deepEqual(readResponse(await raw.take(headerBytes)), {
    status: status.rkeyRejected,
    batch: 4,
    piece: 0,
    bytes: 0,
  })
  await assertInStep(raw, rig)
  raw.socket.destroy()
})

test("lengths that do not add up are refused, also when their sum overflows 32 bits to the right number", async () => {
  await using rig = await openRig()
  const rkey = rig.descriptor.rkeys[0]!
  const raw = await provenStream(rig)
  const overflowing: Entry[] = [...Array<Entry>(256).fill([rkey, regionBytes, 0]), [rkey, mib, 0]]
  const cases: [Entry[], number][] = [
    [overflowing, mib],
    [[[rkey, 100, 0]], 99],
    [[[rkey, 100, 0]], 101],
    [[[rkey, regionBytes, 0]], requestBytesMax],
  ]
  for (const [entries, bytes] of cases) {
    raw.socket.write(request({ batch: 5, bytes }, entries))
    const answer = readResponse(await raw.take(headerBytes))
    assert.deepEqual(answer, { status: status.malformed, batch: 5, piece: 0, bytes: 0 })
    await assertInStep(raw, rig)
  }
  raw.socket.destroy()
})

test("a write that is refused has its payload thrown away, and the stream stays in step", async () => {
  for (const rights of [
    { read: true, write: true },
    { read: true, write: false },
  ]) {
    await using rig = await openRig(rights)
    const before = Buffer.from(rig.span.view(0, regionBytes))
    const rkey = rig.descriptor.rkeys[0]!
    const raw = await provenStream(rig)
    const refusals: [Entry[], number][] = [
      [[[rkey, requestBytesMax, regionBytes - requestBytesMax + 1]], status.outOfBounds],
      [[[rkey, 1000, 0], [(rkey ^ 1) >>> 0, 3, 0]], status.rkeyRejected], // biome-ignore format: one case a line
    ]
    for (const [entries, expected] of refusals) {
      const table = request({ direction: direction.write, batch: 6 }, entries)
      const payload = Buffer.alloc(
        entries.reduce((sum, [, length]) => sum + length, 0),
        0xab,
      )
      raw.socket.write(Buffer.concat([table, payload]))
      const answer = readResponse(await raw.take(headerBytes))
      assert.equal(answer?.status, rights.write ? expected : status.notGranted)
      await assertInStep(raw, rig)
    }
    assert.equal(Buffer.compare(before, rig.span.view(0, regionBytes)), 0)
    raw.socket.destroy()
  }
})

test("a caller that never reads stops nobody: not its neighbours, nor the closing of its region", async () => {
  await using rig = await openRig()
  await using honest = await openHonest(rig)
  const rkey = rig.descriptor.rkeys[0]!
  const sleepers = await Promise.all(Array.from({ length: 4 }, () => provenStream(rig)))
  for (const { socket } of sleepers) {
    socket.pause()
    const one = request({}, [[rkey, requestBytesMax, 0]])
    socket.write(Buffer.concat(Array<Uint8Array>(16).fill(one)))
  }
  for (let i = 0; i < 5; i++) await honest.read(4 * mib)
  await rig.endpoint.deregister(0)
  // Their requests were under way: the region is closed only because their streams were.
  for (const { socket } of sleepers) socket.resume()
  await Promise.all(sleepers.map(({ closed }) => closed))
})

test("a region that is closed in mid-write takes no more bytes", async () => {
  await using rig = await openRig()
  const raw = await provenStream(rig)
  const table = request({ direction: direction.write }, [[rig.descriptor.rkeys[0]!, mib, 0]])
  raw.socket.write(Buffer.concat([table, Buffer.alloc(1000, 0xab)]))
  await until(() => rig.span.view(999, 1)[0] === 0xab)
  await rig.endpoint.deregister(0)
  const before = Buffer.from(rig.span.view(0, mib))
  raw.socket.write(Buffer.alloc(mib - 1000, 0xcd))
  await raw.closed
  assert.equal(Buffer.compare(before, rig.span.view(0, mib)), 0)
})

test("streams that come and go by the hundred leave no descriptor behind", async () => {
  await using rig = await openRig()
  await using honest = await openHonest(rig)
  const before = openDescriptors()
  for (let round = 0; round < 5; round++) {
    const callers = await Promise.all(Array.from({ length: 40 }, () => Raw.dial(rig.port)))
    const reading = honest.read(4 * mib)
    for (const [index, { socket }] of callers.entries()) {
      if (index % 3 === 0) socket.resetAndDestroy()
      else if (index % 3 === 1) socket.end(randomBytes(index))
      else socket.destroy()
    }
    await Promise.all(callers.map(({ closed }) => closed))
    await reading
  }
  await until(() => openDescriptors() <= before)
})

test("a storm of cancels: each move has stopped when it rejects, and the connection goes on", async () => {
  await using rig = await openRig()
  await using honest = await openHonest(rig)
  const slots = 16
  let [cancelled, moved] = [0, 0]
  const one = async (slot: number, delay: number): Promise<void> => {
    const builder = new PlanBuilder(1)
    builder.add(0, 0, 0, slot * mib, mib, 0)
    const abort = new AbortController()
    const moving = honest.connection.move({
      direction: "read",
      plan: builder.finish(),
      remote: [rig.descriptor],
      deadline: performance.now() + 10_000,
      signal: abort.signal,
    })
    for (let i = 0; i < delay; i++) await new Promise(setImmediate)
    abort.abort()
    try {
      await moving
      moved += 1
    } catch (thrown) {
      isKv("KV_CANCELLED")(thrown)
      cancelled += 1
      honest.target.view(slot * mib, mib).fill(0x11)
      for (let i = 0; i < 10; i++) await new Promise(setImmediate)
      assert.equal(
        honest.target.view(slot * mib, mib).findIndex((byte) => byte !== 0x11),
        -1,
      )
    }
  }
  for (let round = 0; round < 10; round++) {
    await Promise.all(Array.from({ length: slots }, (_, slot) => one(slot, (slot * 7 + round) % 40)))
  }
  assert.ok(cancelled > 0, `${moved} of ${slots * 10} moved, none was cancelled`)
  await honest.read(8 * mib)
})

test("closing a caller's own region in mid-move ends the move, and nothing is written there after", async () => {
  await using rig = await openRig()
  await using honest = await openHonest(rig)
  const moves = Array.from({ length: 8 }, () =>
    honest.connection.move({
      direction: "read",
      plan: planOf(regionBytes),
      remote: [rig.descriptor],
      deadline: performance.now() + 10_000,
    }),
  )
  const settled = Promise.allSettled(moves)
  await honest.endpoint.deregister(0)
  honest.target.view(0, regionBytes).fill(0x11)
  const ends = await settled
  assert.ok(ends.some(({ status: end }) => end === "rejected"))
  assert.equal(
    honest.target.view(0, regionBytes).findIndex((byte) => byte !== 0x11),
    -1,
  )
})

test("connections that open and close in a storm all end, whatever moves on them", async () => {
  await using rig = await openRig()
  await using honest = await openHonest(rig, 2)
  const ends = await Promise.all(
    Array.from({ length: 30 }, async (_, index) => {
      const connection = await honest.endpoint.connect(rig.session, rig.endpoint.address, {
        deadline: performance.now() + 10_000,
        peerHost: "127.0.0.1",
      })
      const builder = new PlanBuilder(2)
      builder.add(0, 0, 0, 0, 2 * mib, 0)
      builder.add(0, 4 * mib, 0, 4 * mib, 2 * mib, 1)
      const moving = connection.move({
        direction: "read",
        plan: builder.finish(),
        remote: [rig.descriptor],
        deadline: performance.now() + 10_000,
      })
      const [end] = await Promise.allSettled([
        moving,
        index % 2 === 0 ? connection[Symbol.asyncDispose]() : undefined,
      ])
      await connection[Symbol.asyncDispose]()
      assert.ok((await connection.lost) instanceof Error)
      return end
    }),
  )
  for (const end of ends) if (end.status === "rejected") isKv("KV_PEER_LOST")(end.reason)
  await honest.read()
})

test("a region is registered once: its old key would outlive it", async () => {
  await using rig = await openRig()
  await assert.rejects(
    async () => rig.endpoint.register(0, rig.span, { read: true, write: true }),
    /broken invariant/,
  )
})

test("a listener that stays silent, or that is none of ours, is an error with its own code", async () => {
  const silent = async (): Promise<void> => {}
  await callHostile(silent, async (connect) => {
    await assert.rejects(connect(100), isKv("KV_DEADLINE"))
  })
  const mute = async (raw: Raw): Promise<void> => void raw.socket.write(Buffer.alloc(greetingBytes, 0x53))
  await callHostile(mute, async (connect) => {
    await assert.rejects(connect(), isKv("KV_PEER_REFUSED"))
  })
  const leaving = async (raw: Raw): Promise<void> => void raw.socket.destroy()
  await callHostile(leaving, async (connect) => {
    await assert.rejects(connect(), isKv("KV_PEER_LOST"))
  })
})

test("an address that is no numeric address is an error, not a hang", async () => {
  const endpoint = await tcp.open({ host: "127.0.0.1", rails: 2 })
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  const options = { deadline: performance.now() + 5000, peerHost: "127.0.0.1" }
  const address = { transport: "tcp", host: "no such host", ports: [1, 2] }
  await assert.rejects(endpoint.connect(session, address, options), isKv("KV_USAGE"))
  for (const ports of [[], [0], [65_536], [1.5], ["22"], "22"]) {
    const bad = { transport: "tcp", host: "127.0.0.1", ports: ports as number[] }
    assert.equal(endpoint.reaches(bad).usable, false)
    await assert.rejects(endpoint.connect(session, bad, options), isKv("KV_PEER_REFUSED"))
  }
  await endpoint[Symbol.asyncDispose]()
})

const wrongAnswers: Record<string, (header: RequestHeader) => Uint8Array> = {
  "of another batch": ({ batch, bytes }) => answer({ status: status.ok, batch: batch + 1, bytes }),
  "of another length": ({ batch, bytes }) => answer({ status: status.ok, batch, bytes: bytes + 1 }),
  "of a length that is no number": ({ batch }) => answer({ status: status.ok, batch, bytes: Number.NaN }),
  "without our mark": () => Buffer.alloc(headerBytes, 0x20),
}
for (const [name, wrongAnswer] of Object.entries(wrongAnswers)) {
  test(`an answer ${name} ends the connection and writes nothing`, async () => {
    const script = async (raw: Raw): Promise<void> => {
      await welcome(raw)
      const header = readRequest(await raw.take(headerBytes))!
      raw.socket.write(Buffer.concat([wrongAnswer(header), Buffer.alloc(2 * mib, 0xcd)]))
    }
    await callHostile(script, async (connect, target) => {
      const connection = await connect()
      const remote = [{ region: 0, length: mib, rkeys: [0], iova: 0 }]
      const deadline = performance.now() + 5000
      const moving = connection.move({ direction: "read", plan: planOf(mib), remote, deadline })
      await assert.rejects(moving, isKv("KV_PEER_LOST"))
      assert.equal(
        target.view(0, mib).findIndex((byte) => byte !== 0),
        -1,
      )
    })
  })
}

test("an answer that nobody asked for ends the connection", async () => {
  const script = async (raw: Raw): Promise<void> => {
    await welcome(raw)
    raw.socket.write(answer({ status: status.ok, batch: 1, bytes: 5 }))
  }
  await callHostile(script, async (connect) => {
    const connection = await connect()
    isKv("KV_PEER_LOST")(await connection.lost)
  })
})

test("a write that is answered before it was sent ends the connection: our memory was still being read", async () => {
  const script = async (raw: Raw): Promise<void> => {
    await welcome(raw)
    const { batch } = readRequest(await raw.take(headerBytes))!
    // What is not read fills the kernel's buffers, so most of the 16 MiB cannot have left by now.
    raw.socket.pause()
    const early = [0, 1, 2, 3].map((i) => answer({ status: status.ok, batch: batch + i, bytes: 0 }))
    raw.socket.write(Buffer.concat(early))
  }
  const use = async (connect: () => Promise<Connection>): Promise<void> => {
    const connection = await connect()
    const remote = [{ region: 0, length: 16 * mib, rkeys: [0], iova: 0 }]
    const deadline = performance.now() + 5000
    const moving = connection.move({ direction: "write", plan: planOf(16 * mib), remote, deadline })
    await assert.rejects(moving, isKv("KV_PEER_LOST"))
  }
  await callHostile(script, use, 16 * mib)
})

test("a listener that stops in the middle of a payload is a deadline, and the bytes come no more", async () => {
  const script = async (raw: Raw): Promise<void> => {
    await welcome(raw)
    const { batch, bytes } = readRequest(await raw.take(headerBytes))!
    raw.socket.write(Buffer.concat([answer({ status: status.ok, batch, bytes }), Buffer.alloc(1000, 0xcd)]))
    await raw.take(pieceBytes)
    // The request behind the deadline says that the first has ended.
    await raw.take(headerBytes)
    raw.socket.write(Buffer.alloc(bytes - 1000, 0xcd))
  }
  await callHostile(script, async (connect, target) => {
    const connection = await connect()
    const remote = [{ region: 0, length: mib, rkeys: [0], iova: 0 }]
    const move = (millis: number): Promise<unknown> =>
      connection.move({ direction: "read", plan: planOf(mib), remote, deadline: performance.now() + millis })
    await assert.rejects(move(100), isKv("KV_DEADLINE"))
    target.view(0, mib).fill(0x11)
    await assert.rejects(move(300), isKv("KV_DEADLINE"))
    assert.equal(
      target.view(0, mib).findIndex((byte) => byte !== 0x11),
      -1,
    )
  })
})

test("a status that we do not know is an error of the move, and the stream goes on", async () => {
  const script = async (raw: Raw): Promise<void> => {
    await welcome(raw)
    for (let asked = 0; asked < 2; asked++) {
      const { batch, bytes } = readRequest(await raw.take(headerBytes))!
      await raw.take(pieceBytes)
      raw.socket.write(
        asked === 0
          ? answer({ status: 99, batch, bytes: 0 })
          : Buffer.concat([answer({ status: status.ok, batch, bytes }), Buffer.alloc(bytes, 0xcd)]),
      )
    }
  }
  await callHostile(script, async (connect, target) => {
    const connection = await connect()
    const remote = [{ region: 0, length: mib, rkeys: [0], iova: 0 }]
    const move = (): Promise<unknown> =>
      connection.move({ direction: "read", plan: planOf(mib), remote, deadline: performance.now() + 5000 })
    await assert.rejects(move(), isKv("KV_WIRE_INVALID"))
    await move()
    assert.equal(
      target.view(0, mib).findIndex((byte) => byte !== 0xcd),
      -1,
    )
  })
})

test("silent strangers are cut off in time, and an honest peer that waited behind them gets in", async () => {
  await using honest = await openHonest(siege)
  await honest.read()
  // Nobody of the first 64 proved anything, so their places are free again.
  await Promise.all(strangers.slice(0, 60).map(({ closed }) => closed))
})
