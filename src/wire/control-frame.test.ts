import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { encodeFrame, type Frame, FrameReader, frameLimits, protocolVersion } from "./control-frame.ts"
import { framesOf, noSealer, openReader } from "./frames.test.kit.ts"

const headerBytes = 16
const isKv = (code: string) => (error: unknown) => error instanceof KvError && error.code === code

/** A header as a hostile peer would write it. */
function header(fields: {
  mark?: number
  version?: number
  sealed?: number
  body?: number
  attachment?: number
}): Uint8Array {
  const bytes = new Uint8Array(headerBytes)
  const data = new DataView(bytes.buffer)
  data.setUint32(0, fields.mark ?? 0x4359464b, true)
  data.setUint16(4, fields.version ?? protocolVersion, true)
  data.setUint16(6, fields.sealed ?? 1, true)
  data.setUint32(8, fields.body ?? 2, true)
  data.setUint32(12, fields.attachment ?? 0, true)
  return bytes
}

const framesArbitrary = fc.array(
  fc.record({ body: fc.jsonValue(), attachment: fc.uint8Array({ maxLength: 300 }) }),
  { maxLength: 8 },
)

test("frames come out whole and in order, whatever pieces the stream delivers them in", () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(framesArbitrary, cuts, fc.boolean(), (frames, sizes, asBuffers) => {
      const stream = Buffer.concat(frames.map((frame) => encodeFrame(frame, noSealer)))
      const reader = openReader()
      const found: Frame[] = []
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const size = sizes[turn % sizes.length]!
        const chunk = stream.subarray(at, at + size)
        // Chunks of a socket are views into a buffer that is used again.
        const given = asBuffers ? Buffer.from(chunk) : new Uint8Array(chunk)
        for (const frame of framesOf(reader, given))
          found.push({ ...frame, attachment: frame.attachment.slice() })
        at += size
      }
      assert.equal(found.length, frames.length)
      for (const [index, { body, attachment }] of frames.entries()) {
        assert.deepEqual(found[index]!.body, JSON.parse(JSON.stringify(body)))
        assert.deepEqual([...found[index]!.attachment], [...attachment])
      }
    }),
  )
})

test("an attachment starts at an address that 64-bit numbers may be read from", () => {
  const reader = openReader()
  const frame = encodeFrame({ body: { odd: "abc" }, attachment: new Uint8Array(16) }, noSealer)
  const shifted = Buffer.concat([Buffer.alloc(3), frame]).subarray(3)
  const [read] = framesOf(reader, shifted)
  assert.equal(read!.attachment.byteOffset % 8, 0)
})

test("a length over its limit is refused at its header, before anything of that size is there", () => {
  const sizes = [frameLimits.body + 1, 2 ** 31, 0xffffffff]
  for (const body of sizes) assert.throws(() => framesOf(openReader(), header({ body })), isKv("KV_LIMIT"))
  for (const attachment of [frameLimits.attachment + 1, 0xffffffff]) {
    assert.throws(() => framesOf(openReader(), header({ attachment })), isKv("KV_LIMIT"))
  }
  assert.deepEqual(
    framesOf(openReader(), header({ body: frameLimits.body, attachment: frameLimits.attachment })),
    [],
  )
})

test("until the reader is told so, a body is short and there is no attachment", () => {
  const { opening } = frameLimits
  assert.throws(() => framesOf(new FrameReader(), header({ sealed: 0, body: opening + 1 })), isKv("KV_LIMIT"))
  assert.deepEqual(framesOf(new FrameReader(), header({ sealed: 0, body: opening })), [])
  assert.throws(() => framesOf(new FrameReader(), header({ sealed: 0, attachment: 1 })), isKv("KV_LIMIT"))
  assert.equal(framesOf(new FrameReader(), encodeFrame({ body: 1 })).length, 1)
})

test("before the end of the handshake no frame is sealed, after it each one is", () => {
  const plain = encodeFrame({ body: 1 })
  assert.throws(() => framesOf(openReader(), plain), isKv("KV_WIRE_INVALID"))
  assert.throws(
    () => framesOf(new FrameReader(), encodeFrame({ body: 1 }, noSealer)),
    isKv("KV_WIRE_INVALID"),
  )
  for (const sealed of [2, 0xffff]) {
    assert.throws(() => framesOf(openReader(), header({ sealed })), isKv("KV_WIRE_INVALID"))
    assert.throws(() => framesOf(new FrameReader(), header({ sealed })), isKv("KV_WIRE_INVALID"))
  }
})

test("a long frame that comes byte by byte takes memory of its own size, not of its pieces", () => {
  const attachment = new Uint8Array(300_000).map((_, at) => at)
  const stream = encodeFrame({ body: "long", attachment }, noSealer)
  const reader = openReader()
  for (let at = 0; at < stream.byteLength - 1; at++) {
    assert.equal(framesOf(reader, stream.subarray(at, at + 1)).length, 0)
  }
  assert.equal(reader.waiting, stream.byteLength - 1)
  const [frame] = framesOf(reader, stream.subarray(stream.byteLength - 1))
  assert.deepEqual(frame!.attachment, attachment)
  assert.equal(reader.waiting, 0)
})

test("a wrong mark, another version, a body that is no JSON or no UTF-8 are refused", () => {
  for (const mark of [0, 0x4359464a, 0x20544547]) {
    assert.throws(() => framesOf(openReader(), header({ mark })), isKv("KV_WIRE_INVALID"))
  }
  for (const version of [0, protocolVersion + 1, 0xffff]) {
    assert.throws(() => framesOf(openReader(), header({ version })), /control protocol/)
  }
  for (const body of [
    Buffer.from("{]"),
    Buffer.from(""),
    Buffer.from("{}{}"),
    Buffer.from([0x22, 0xff, 0x22]),
    Buffer.from([0x22, 0xc3, 0x22]),
    Buffer.from("{}", "utf16le"),
  ]) {
    const bytes = Buffer.concat([header({ sealed: 0, body: body.length }), body])
    assert.throws(() => framesOf(new FrameReader(), bytes), isKv("KV_WIRE_INVALID"))
  }
})

test("random bytes are refused with a code of ours, or wait for more: nothing else is thrown", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, marked) => {
      const stream = marked ? Buffer.concat([header({ body: 20 }), bytes]) : bytes
      try {
        framesOf(openReader(), stream)
      } catch (thrown) {
        assert.ok(thrown instanceof KvError, String(thrown))
      }
    }),
  )
})

test("a frame that is too large to send is an error of the sender", () => {
  assert.throws(() => encodeFrame({ body: "x".repeat(frameLimits.body) }), isKv("KV_LIMIT"))
  const attachment = new Uint8Array(frameLimits.attachment + 1)
  assert.throws(() => encodeFrame({ body: 1, attachment }), isKv("KV_LIMIT"))
})
