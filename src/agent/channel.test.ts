import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import fc from "fast-check"
import type { KvError } from "../errors/kv-error.ts"
import { encodeFrame, frameLimits } from "../wire/control-frame.ts"
import type { ControlMessage } from "../wire/control-messages.ts"
import { cardOf } from "./cards.test.kit.ts"
import { MessageChannel, type Received } from "./channel.ts"
import { delivered, openPipe, type PipeEnd } from "./in-memory.test.kit.ts"
import { frameSealer } from "./sealed-frames.ts"

const lease = "ab".repeat(16)
const keys = { caller: randomBytes(32), listener: randomBytes(32) }

/** One side behind its handshake, and what it hears. */
class Side {
  readonly channel: MessageChannel
  readonly heard: Received[] = []
  ended: KvError | undefined

  constructor(end: PipeEnd, sends: Uint8Array, hears: Uint8Array) {
    this.channel = new MessageChannel(end)
    this.channel.seal(sends)
    this.channel.handOver(hears)
    this.channel.listen(
      (received) => this.heard.push(received),
      (error) => {
        this.ended = error
      },
    )
  }
}

/** Two sides with somebody in between, who hands on what `meddle` makes of each send of the caller. */
function withRelay(meddle: (bytes: Uint8Array, count: number) => readonly Uint8Array[]) {
  const [callerEnd, left] = openPipe()
  const [listenerEnd, right] = openPipe()
  let count = 0
  left.onBytes((bytes) => {
    for (const part of meddle(bytes, count++)) right.send(part)
  })
  right.onBytes((bytes) => left.send(bytes))
  left.onClose(() => right.close())
  right.onClose(() => left.close())
  const caller = new Side(callerEnd, keys.caller, keys.listener)
  const listener = new Side(listenerEnd, keys.listener, keys.caller)
  return { caller, listener }
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 4; turn++) await delivered()
}

test("who sits on the path sees nothing of what is said after the handshake", async () => {
  const passed: Uint8Array[] = []
  const { caller, listener } = withRelay((bytes) => {
    passed.push(bytes)
    return [bytes]
  })
  caller.channel.send({ type: "notify", text: "the prompt was about ferries" }, Buffer.from("rkey 4711"))
  listener.channel.send({ type: "released", call: 3 })
  await settle()
  assert.deepEqual(listener.heard[0]?.message, { type: "notify", text: "the prompt was about ferries" })
  assert.equal(Buffer.from(listener.heard[0]!.attachment).toString(), "rkey 4711")
  assert.deepEqual(caller.heard[0]?.message, { type: "released", call: 3 })
  const seen = Buffer.concat(passed)
  for (const word of ["notify", "ferries", "4711"]) assert.equal(seen.includes(word), false)
})

test("words that somebody on the path puts in, repeats, swaps, changes or leaves out end the channel unheard", async () => {
  const release: ControlMessage = { type: "release", call: 9, lease }
  const forged = [
    encodeFrame({ body: release }),
    encodeFrame({ body: release }, frameSealer(randomBytes(32))),
    // Its own words, sent back to it.
    encodeFrame({ body: release }, frameSealer(keys.listener)),
  ]
  const kept: Uint8Array[] = []
  const attacks: Record<string, (bytes: Uint8Array, count: number) => readonly Uint8Array[]> = {
    "put in": (bytes) => [bytes, forged[0]!],
    "put in, sealed with another key": (bytes) => [bytes, forged[1]!],
    "put in, sealed with the other side's key": (bytes) => [bytes, forged[2]!],
    "put in first": (bytes) => [forged[0]!, bytes],
    repeated: (bytes) => [bytes, bytes],
    "left out": (bytes, count) => (count === 1 ? [] : [bytes]),
    swapped: (bytes, count) => {
      kept.push(bytes)
      return count === 2 ? [kept[2]!, kept[1]!] : count === 1 ? [] : [bytes]
    },
    changed: (bytes) => [
      bytes.map((byte, at) => (at === bytes.length - 20 ? byte ^ 1 : byte)),
      new Uint8Array(64),
    ],
    shortened: (bytes) => [bytes.subarray(0, -1), bytes],
  }
  for (const [attack, meddle] of Object.entries(attacks)) {
    kept.length = 0
    const { caller, listener } = withRelay(meddle)
    for (let call = 1; call <= 3; call++) caller.channel.send({ type: "claim", call, lease })
    await settle()
    assert.equal(listener.ended?.code, "KV_WIRE_INVALID", attack)
    assert.ok(caller.ended !== undefined, `${attack}: the other side hears of it`)
    const calls = listener.heard.map(({ message }) => ("call" in message ? message.call : 0))
    assert.deepEqual(
      calls,
      [1, 2, 3].slice(0, calls.length),
      `${attack}: what was heard was said, in its order`,
    )
    assert.ok(calls.length < 3, attack)
  }
})

test("a channel that is cut at a frame's end is lost: nobody takes that for a farewell", async () => {
  const [end, path] = openPipe()
  const side = new Side(end, keys.caller, keys.listener)
  path.send(encodeFrame({ body: { type: "released", call: 1 } }, frameSealer(keys.listener)))
  path.close()
  await settle()
  assert.equal(side.heard.length, 1)
  assert.equal(side.ended?.code, "KV_PEER_LOST")
})

test("what comes right behind the last plain message waits for its key, and then counts", async () => {
  const [end, other] = openPipe()
  const channel = new MessageChannel(end)
  const early: ControlMessage["type"][] = []
  const heard: Received[] = []
  channel.listen(
    ({ message }) => early.push(message.type),
    () => assert.fail("the channel has ended"),
  )
  const present: ControlMessage = { type: "present", seal: "00".repeat(32), card: cardOf("theirs") }
  const sealed = encodeFrame({ body: { type: "claim", call: 1, lease } }, frameSealer(keys.caller))
  const stream = Buffer.concat([encodeFrame({ body: present }), sealed])
  for (const byte of stream) other.send(Uint8Array.of(byte))
  await settle()
  assert.deepEqual(early, ["present"])
  channel.handOver(keys.caller)
  channel.listen(
    (received) => heard.push(received),
    () => assert.fail("the channel has ended"),
  )
  assert.deepEqual(
    heard.map(({ message }) => message.type),
    ["claim"],
  )
})

test("what waits for its key is bounded", async () => {
  const [end, other] = openPipe()
  const channel = new MessageChannel(end)
  const ends: string[] = []
  channel.listen(
    () => {},
    ({ code }) => ends.push(code),
  )
  other.send(encodeFrame({ body: { type: "present", seal: "00".repeat(32), card: cardOf("theirs") } }))
  other.send(new Uint8Array(frameLimits.opening))
  await settle()
  assert.deepEqual(ends, [])
  other.send(new Uint8Array(1))
  await settle()
  assert.deepEqual(ends, ["KV_LIMIT"])
})

test("whatever bytes come after the handshake: the channel waits for more or ends with an error of ours", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 5 }), async (chunks) => {
      const [end, path] = openPipe()
      const side = new Side(end, keys.caller, keys.listener)
      for (const chunk of chunks) path.send(chunk)
      await settle()
      assert.equal(side.heard.length, 0)
      if (Buffer.concat(chunks).length >= 16) assert.ok(side.ended !== undefined)
    }),
    { numRuns: 50 },
  )
})
