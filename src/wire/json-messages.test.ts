import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { MessageSplitter, packMessage } from "./json-messages.ts"

const invalid = (error: unknown): boolean => error instanceof KvError && error.code === "KV_WIRE_INVALID"

/** All messages that `splitter` finds when a stream comes in pieces of these sizes, in turn. */
function split(stream: Uint8Array, sizes: readonly number[], splitter: MessageSplitter): unknown[] {
  const found: unknown[] = []
  for (let [at, turn] = [0, 0]; at < stream.byteLength; turn++) {
    const end = at + sizes[turn % sizes.length]!
    splitter.push(stream.subarray(at, end))
    at = end
    for (let message = splitter.next(); message !== undefined; message = splitter.next()) found.push(message)
  }
  return found
}

function headed(length: number, body = ""): Uint8Array {
  const bytes = Buffer.alloc(4 + body.length)
  bytes.writeUInt32LE(length)
  bytes.write(body, 4, "latin1")
  return bytes
}

test("messages come out whole and in order, whatever pieces the stream delivers them in", () => {
  const messages = fc.array(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), { maxLength: 8 })
  const sizes = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(messages, sizes, (sent, cuts) => {
      const plain = sent.map((message) => JSON.parse(JSON.stringify(message)))
      const stream = Buffer.concat(sent.map((message) => packMessage(message)))
      assert.deepEqual(split(stream, cuts, new MessageSplitter(2 ** 20)), plain)
    }),
  )
})

test("a message may be as long as the limit and no longer, which is known before its body has come", () => {
  const message = { text: "x".repeat(100) }
  const packed = packMessage(message)
  assert.deepEqual(split(packed, [7], new MessageSplitter(packed.byteLength - 4)), [message])
  const short = new MessageSplitter(packed.byteLength - 5)
  short.push(packed.subarray(0, 4))
  assert.throws(() => short.next(), invalid)
  const huge = new MessageSplitter(2 ** 20)
  huge.push(headed(2 ** 32 - 1))
  assert.throws(() => huge.next(), invalid)
})

test("a limit that was raised holds from the next message on", () => {
  const splitter = new MessageSplitter(10)
  splitter.push(packMessage({ a: 1 }))
  assert.deepEqual(splitter.next(), { a: 1 })
  splitter.bytesMax = 1000
  const long = { text: "y".repeat(500) }
  splitter.push(packMessage(long))
  assert.deepEqual(splitter.next(), long)
})

test("what is no JSON, or no UTF-8, is refused", () => {
  for (const body of ["", "{", "{}x", '"\xff"']) {
    const splitter = new MessageSplitter(100)
    splitter.push(headed(body.length, body))
    assert.throws(() => splitter.next(), invalid, JSON.stringify(body))
  }
})

test("a long message that comes byte by byte costs no more than one that comes whole", () => {
  const message = { text: "z".repeat(2 ** 21) }
  // Joined anew for each byte, this would not end today.
  assert.deepEqual(split(packMessage(message), [1], new MessageSplitter(2 ** 23)), [message])
})
