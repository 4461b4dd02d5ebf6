import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { encodeFrame, FrameReader, sealTagBytes } from "../wire/control-frame.ts"
import { framesOf } from "../wire/frames.test.kit.ts"
import { frameOpener, frameSealer, sealedFramesMax } from "./sealed-frames.ts"

const headerBytes = 16
const key = randomBytes(32)
const isKv = (code: string) => (error: unknown) => error instanceof KvError && error.code === code

function readerOf(first = 0, with_ = key): FrameReader {
  const reader = new FrameReader()
  reader.open(frameOpener(with_, first))
  return reader
}

/** Three frames of one channel, as bytes. */
function sealedFrames(): [Buffer, Buffer, Buffer] {
  const sealer = frameSealer(key)
  const seal = (body: unknown, attachment?: Uint8Array): Buffer =>
    Buffer.from(encodeFrame({ body, ...(attachment === undefined ? {} : { attachment }) }, sealer))
  return [seal({ a: 1 }), seal({ b: "two" }, Uint8Array.of(1, 2, 3)), seal({ c: [] })]
}

test("sealed frames open as they were, in whatever pieces they come, and their bytes tell nothing", () => {
  const frames = fc.array(
    fc.record({ body: fc.jsonValue(), attachment: fc.uint8Array({ maxLength: 300 }) }),
    { maxLength: 8 },
  )
  fc.assert(
    fc.property(frames, fc.integer({ min: 1, max: 500 }), (sent, size) => {
      const sealer = frameSealer(key)
      const stream = Buffer.concat(sent.map((frame) => encodeFrame(frame, sealer)))
      const reader = readerOf()
      const found = []
      for (let at = 0; at < stream.length; at += size) {
        found.push(...framesOf(reader, stream.subarray(at, at + size)))
      }
      assert.deepEqual(
        found.map(({ body, attachment }) => ({ body, attachment: [...attachment] })),
        sent.map(({ body, attachment }) => ({
          body: JSON.parse(JSON.stringify(body)),
          attachment: [...attachment],
        })),
      )
    }),
  )
  const word = "the address of the first region"
  const sealed = Buffer.from(encodeFrame({ body: { word }, attachment: Buffer.from(word) }, frameSealer(key)))
  assert.equal(sealed.includes(word), false)
  assert.equal(sealed.includes(word.slice(0, 4)), false)
})

test("an attachment that was sealed starts where 64-bit numbers may be read from", () => {
  const frame = encodeFrame({ body: { odd: "abc" }, attachment: new Uint8Array(16) }, frameSealer(key))
  const [read] = framesOf(readerOf(), frame)
  assert.equal(read!.attachment.byteOffset % 8, 0)
  assert.equal(new BigUint64Array(read!.attachment.buffer, read!.attachment.byteOffset, 2).length, 2)
})

test("one bit flipped anywhere, and the frame does not open", () => {
  const [, second] = sealedFrames()
  for (let bit = 0; bit < second.length * 8; bit++) {
    const changed = Buffer.from(second)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    const reader = readerOf(1)
    // A flipped length may make it wait for more: what comes next then shows it.
    const stream = Buffer.concat([changed, Buffer.alloc(2 ** 16)])
    const lengths = bit >> 3 >= 8 && bit >> 3 < headerBytes
    try {
      assert.deepEqual(framesOf(reader, stream), [], `bit ${bit} was let through`)
      assert.ok(lengths, `bit ${bit} of the frame was not noticed`)
    } catch (thrown) {
      assert.ok(thrown instanceof KvError, String(thrown))
      assert.ok(["KV_WIRE_INVALID", "KV_LIMIT"].includes(thrown.code))
    }
  }
})

test("a frame that is repeated, moved, left out, cut or put in does not open", () => {
  const [first, second, third] = sealedFrames()
  const other = Buffer.from(encodeFrame({ body: { a: 1 } }, frameSealer(randomBytes(32))))
  const plain = Buffer.from(encodeFrame({ body: { a: 1 } }))
  const cut = Buffer.concat([second.subarray(0, -sealTagBytes), third])
  for (const stream of [
    [first, first],
    [second, first],
    [first, third],
    [first, cut],
    [other],
    [first, other],
    [first, plain],
  ]) {
    const reader = readerOf()
    assert.throws(() => framesOf(reader, Buffer.concat(stream)), isKv("KV_WIRE_INVALID"))
  }
  assert.equal(framesOf(readerOf(), Buffer.concat([first, second, third])).length, 3)
  assert.deepEqual(framesOf(readerOf(), first.subarray(0, -1)), [])
  // Our own words, sent back to us: each direction has its own key.
  assert.throws(() => framesOf(readerOf(0, randomBytes(32)), first), isKv("KV_WIRE_INVALID"))
})

test("whatever comes instead of a sealed frame is an error of ours, or waits for more", () => {
  const [first] = sealedFrames()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(40), (bytes, kept) => {
      const stream = Buffer.concat([first.subarray(0, kept), bytes])
      if (stream.subarray(0, first.length).equals(first)) return
      try {
        assert.deepEqual(framesOf(readerOf(), stream), [])
      } catch (thrown) {
        assert.ok(thrown instanceof KvError, String(thrown))
      }
    }),
  )
})

test("no frame number is used twice: a worn-out key seals and opens nothing", () => {
  const last = frameSealer(key, sealedFramesMax - 1)
  const frame = encodeFrame({ body: 1 }, last)
  assert.equal(framesOf(readerOf(sealedFramesMax - 1), frame).length, 1)
  assert.throws(() => encodeFrame({ body: 1 }, last), isKv("KV_LIMIT"))
  assert.throws(() => framesOf(readerOf(sealedFramesMax), frame), isKv("KV_LIMIT"))
})
