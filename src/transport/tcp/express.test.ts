import assert from "node:assert/strict"
import { test } from "node:test"
import { headerBytes, pieceBytes, readRequest, status } from "../../wire/stream-frames.ts"
import type { Connection, MoveRequest } from "../transport.ts"
import {
  answer,
  callHostile,
  isKv,
  mib,
  openHonest,
  openRig,
  planOf,
  type Raw,
  until,
  welcome,
} from "./raw-stream.test.kit.ts"

const small = 4096
const remote = [{ region: 0, length: mib, rkeys: [0], iova: 0 }]
const readOf = (bytes: number): MoveRequest => ({ direction: "read", plan: planOf(bytes), remote })
const soon = (millis = 10_000): number => performance.now() + millis

/** A listener in this very thread: whatever it says, it says when nobody waits here in a loop. */
class Slow {
  readonly streams: Raw[] = []
  /** Batch and length of each request, and the stream that it came on. */
  readonly asked: { readonly raw: Raw; readonly batch: number; readonly bytes: number }[] = []

  readonly script = async (raw: Raw): Promise<void> => {
    await welcome(raw)
    this.streams.push(raw)
    for (;;) {
      const { batch, bytes, pieces } = readRequest(await raw.take(headerBytes))!
      await raw.take(pieces * pieceBytes)
      this.asked.push({ raw, batch, bytes })
    }
  }

  /** The next request that was not looked at yet. */
  async next(): Promise<Slow["asked"][number]> {
    await until(() => this.asked.length > 0)
    return this.asked.shift()!
  }

  static reply({ batch, bytes }: { batch: number; bytes: number }, fill: number): Buffer {
    return Buffer.concat([answer({ status: status.ok, batch, bytes }), Buffer.alloc(bytes, fill)])
  }
}

/** The whole target as one value, when it is one. */
function only(target: { view(offset: number, length: number): Uint8Array }, bytes = small): number {
  const view = target.view(0, bytes)
  const first = view[0]!
  return view.every((byte) => byte === first) ? first : Number.NaN
}

test("a small read is there when post() returns, before anything is awaited", async () => {
  await using rig = await openRig()
  await using honest = await openHonest(rig, 1, { postSpinMicros: 5_000_000 })
  const prepared = honest.connection.prepare({ ...readOf(small), remote: [rig.descriptor] })
  for (let round = 1; round <= 3; round++) {
    rig.span.view(0, small).fill(round)
    const posted = prepared.post({ deadline: soon() })
    assert.equal(only(honest.target), round, "no event of ours was handled")
    assert.deepEqual((await posted).rails, [{ rail: 0, bytes: small }])
  }
  await prepared[Symbol.asyncDispose]()
})

test("with a budget of 0 no thread waits by itself, and a connection has no stream for it", async () => {
  const slow = new Slow()
  const use = async (connect: () => Promise<Connection>): Promise<void> => {
    const connection = await connect()
    assert.equal(slow.streams.length, 1)
    const moving = connection.move({ ...readOf(small), deadline: soon() })
    const asked = await slow.next()
    asked.raw.socket.write(Slow.reply(asked, 7))
    await moving
  }
  await callHostile(slow.script, use, mib, { postSpinMicros: 0 })
})

for (const early of [0, 1, headerBytes - 1, headerBytes, headerBytes + 1, headerBytes + small - 1]) {
  test(`a small read goes on in the mover when only ${early} bytes of its answer came in time`, async () => {
    const slow = new Slow()
    await callHostile(slow.script, async (connect, target) => {
      const connection = await connect()
      await until(() => slow.streams.length === 2)
      // The front of the answer to request 1, before it is asked for: it waits in the socket.
      const whole = Slow.reply({ batch: 1, bytes: small }, 0x2b)
      const express = slow.streams[1]!
      if (early > 0) await new Promise((resolve) => express.socket.write(whole.subarray(0, early), resolve))
      const moving = connection.move({ ...readOf(small), deadline: soon() })
      const asked = await slow.next()
      assert.equal(asked.raw, express)
      express.socket.write(whole.subarray(early))
      await moving
      assert.equal(only(target), 0x2b)
      // The stream comes back, and serves the next read.
      const again = connection.move({ ...readOf(small), deadline: soon() })
      const second = await slow.next()
      second.raw.socket.write(Slow.reply(second, 0x2c))
      await again
      assert.equal(only(target), 0x2c)
    })
  })
}

test("while the express stream waits in the mover, other small reads go by the rail", async () => {
  const slow = new Slow()
  await callHostile(slow.script, async (connect, target) => {
    const connection = await connect()
    await until(() => slow.streams.length === 2)
    const first = connection.move({ ...readOf(small), deadline: soon() })
    const asked = await slow.next()
    assert.equal(asked.raw, slow.streams[1])
    const others = [1, 2].map(() => connection.move({ ...readOf(small), deadline: soon() }))
    for (const _ of others) {
      const other = await slow.next()
      assert.equal(other.raw, slow.streams[0])
      other.raw.socket.write(Slow.reply(other, 3))
    }
    await Promise.all(others)
    assert.equal(only(target), 3)
    asked.raw.socket.write(Slow.reply(asked, 4))
    await first
    assert.equal(only(target), 4)
  })
})

test("a small read that ended early has stopped: its late bytes land nowhere, and its stream is used again", async () => {
  const slow = new Slow()
  await callHostile(slow.script, async (connect, target) => {
    const connection = await connect()
    await until(() => slow.streams.length === 2)
    const ends: [string, (abort: AbortController) => void, number][] = [
      ["KV_CANCELLED", (abort) => abort.abort(), 10_000],
      ["KV_DEADLINE", () => {}, 50],
    ]
    for (const [code, end, millis] of ends) {
      const abort = new AbortController()
      const moving = connection.move({ ...readOf(small), deadline: soon(millis), signal: abort.signal })
      const asked = await slow.next()
      assert.equal(asked.raw, slow.streams[1], code)
      // Half of the payload is already in its place when the end comes.
      const whole = Slow.reply(asked, 0xcd)
      await new Promise((resolve) => asked.raw.socket.write(whole.subarray(0, 2000), resolve))
      await until(() => target.view(1000, 1)[0] === 0xcd)
      end(abort)
      await assert.rejects(moving, isKv(code))
      target.view(0, mib).fill(0x11)
      asked.raw.socket.write(whole.subarray(2000))
      // Asked again until it goes by the express stream: then the late bytes have passed.
      for (let stream: Raw | undefined; stream !== slow.streams[1]; ) {
        assert.equal(only(target), 0x11)
        const again = connection.move({ ...readOf(small), deadline: soon() })
        const next = await slow.next()
        stream = next.raw
        stream.socket.write(Slow.reply(next, 0x11))
        await again
      }
      assert.equal(only(target), 0x11)
    }
  })
})

test("a refusal of a small read has its code, in time or late, and the stream goes on", async () => {
  await using rig = await openRig()
  await using honest = await openHonest(rig, 1, { postSpinMicros: 5_000_000 })
  const wrong = [{ ...rig.descriptor, rkeys: [(rig.descriptor.rkeys[0]! ^ 1) >>> 0] }]
  const refused = honest.connection.move({ ...readOf(small), remote: wrong, deadline: soon() })
  await assert.rejects(refused, isKv("KV_RKEY_REJECTED"))
  await honest.read(small)
  const slow = new Slow()
  await callHostile(slow.script, async (connect) => {
    const connection = await connect()
    await until(() => slow.streams.length === 2)
    const moving = connection.move({ ...readOf(small), deadline: soon() })
    const { raw, batch } = await slow.next()
    raw.socket.write(answer({ status: status.outOfBounds, batch, bytes: 0 }))
    await assert.rejects(moving, isKv("KV_REGION_BOUNDS"))
    const again = connection.move({ ...readOf(small), deadline: soon() })
    const second = await slow.next()
    second.raw.socket.write(Slow.reply(second, 1))
    await again
  })
})

test("an express stream that ends in the middle of a read ends the connection", async () => {
  const slow = new Slow()
  await callHostile(slow.script, async (connect) => {
    const connection = await connect()
    await until(() => slow.streams.length === 2)
    const big = connection.move({ ...readOf(mib), deadline: soon() })
    const moving = connection.move({ ...readOf(small), deadline: soon() })
    await until(() => slow.asked.length === 2)
    slow.streams[1]!.socket.destroy()
    await assert.rejects(moving, isKv("KV_PEER_LOST"))
    await assert.rejects(big, isKv("KV_PEER_LOST"))
    isKv("KV_PEER_LOST")(await connection.lost)
  })
})

test("an express stream that ended while nobody read costs nothing: the rail answers in its place", async () => {
  const slow = new Slow()
  await callHostile(slow.script, async (connect, target) => {
    const connection = await connect()
    await until(() => slow.streams.length === 2)
    slow.streams[1]!.socket.destroy()
    await slow.streams[1]!.closed
    for (let round = 1; round <= 3; round++) {
      const moving = connection.move({ ...readOf(small), deadline: soon() })
      const asked = await slow.next()
      assert.equal(asked.raw, slow.streams[0])
      asked.raw.socket.write(Slow.reply(asked, round))
      await moving
      assert.equal(only(target), round)
    }
  })
})

const lies: [string, (asked: { batch: number; bytes: number }) => Buffer][] = [
  ["of another batch", ({ batch, bytes }) => Slow.reply({ batch: batch + 1, bytes }, 1)],
  ["of another length", ({ batch, bytes }) => Slow.reply({ batch, bytes: bytes - 1 }, 1)],
  ["without our mark", ({ bytes }) => Buffer.alloc(headerBytes + bytes, 0x20)],
  [
    "that refuses and goes on",
    ({ batch, bytes }) =>
      Buffer.concat([answer({ status: status.notGranted, batch, bytes: 0 }), Buffer.alloc(bytes)]),
  ],
]
for (const [name, lie] of lies) {
  for (const when of ["in time", "late"]) {
    test(`an answer ${name}, ${when}, to a small read ends the connection`, async () => {
      const slow = new Slow()
      await callHostile(slow.script, async (connect, target) => {
        const connection = await connect()
        await until(() => slow.streams.length === 2)
        const express = slow.streams[1]!
        const said = lie({ batch: 1, bytes: small })
        if (when === "in time") await new Promise((resolve) => express.socket.write(said, resolve))
        const moving = connection.move({ ...readOf(small), deadline: soon() })
        if (when === "late") {
          await slow.next()
          express.socket.write(said)
        }
        const code =
          name === "that refuses and goes on" && when === "late" ? /KV_PEER_(LOST|UNTRUSTED)/ : /KV_PEER_LOST/
        await assert.rejects(moving, (error: { code: string }) => code.test(error.code))
        target.view(0, mib).fill(0x11)
        if (code.source === "KV_PEER_LOST") await connection.lost
        assert.equal(only(target, mib), 0x11)
      })
    })
  }
}

test("closing the region under a small read that waits ends it, and nothing is written there after", async () => {
  const slow = new Slow()
  await callHostile(slow.script, async (connect, target, endpoint) => {
    const connection = await connect()
    await until(() => slow.streams.length === 2)
    const moving = connection.move({ ...readOf(small), deadline: soon() })
    const asked = await slow.next()
    const closing = endpoint.deregister(0)
    await assert.rejects(moving, isKv("KV_PEER_LOST"))
    await closing
    target.view(0, mib).fill(0x11)
    asked.raw.socket.write(Slow.reply(asked, 0xcd))
    await asked.raw.closed
    assert.equal(only(target, mib), 0x11)
  })
})

test("a peer that does not answer costs no computing: nothing spins for ever", async () => {
  const slow = new Slow()
  await callHostile(
    slow.script,
    async (connect) => {
      const connection = await connect()
      await until(() => slow.streams.length === 2)
      const abort = new AbortController()
      const { signal } = abort
      const moves = [1, 2, 3].map(() => connection.move({ ...readOf(small), deadline: soon(), signal }))
      await until(() => slow.asked.length === 3)
      const before = process.cpuUsage()
      await new Promise((resolve) => setTimeout(resolve, 400))
      const { user, system } = process.cpuUsage(before)
      assert.ok(user + system < 150_000, `${user + system} µs of computing in 400 ms of waiting`)
      abort.abort()
      for (const move of moves) await assert.rejects(move, isKv("KV_CANCELLED"))
    },
    mib,
    { moverSpinMicros: 1000 },
  )
})
