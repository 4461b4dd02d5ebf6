import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { encodeFrame, type Frame, FrameReader, frameLimits, protocolVersion } from "./control-frame.ts"

const headerBytes = 16
const isKv = (code: string) => (error: unknown) => error instanceof KvError && error.code === code

/** A reader behind the handshake. */
function openReader(): FrameReader {
  const reader = new FrameReader()
  reader.open()
  return reader
}

/** A header as a hostile peer would write it. */
function header(fields: { mark?: number; version?: number; body?: number; attachment?: number }): Uint8Array {
  const bytes = new Uint8Array(headerBytes)
  const data = new DataView(bytes.buffer)
  data.setUint32(0, fields.mark ?? 0x4359464b, true)
  data.setUint16(4, fields.version ?? protocolVersion, true)
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
      const stream = Buffer.concat(frames.map(encodeFrame))
      const reader = openReader()
      const found: Frame[] = []
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const size = sizes[turn % sizes.length]!
        const chunk = stream.subarray(at, at + size)
        // Chunks of a socket are views into a buffer that is used again.
        const given = asBuffers ? Buffer.from(chunk) : new Uint8Array(chunk)
        for (const frame of reader.push(given)) found.push({ ...frame, attachment: frame.attachment.slice() })
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
  const frame = encodeFrame({ body: { odd: "abc" }, attachment: new Uint8Array(16) })
  const shifted = Buffer.concat([Buffer.alloc(3), frame]).subarray(3)
  const [read] = reader.push(shifted)
  assert.equal(read!.attachment.byteOffset % 8, 0)
})

test("a length over its limit is refused at its header, before anything of that size is there", () => {
  const sizes = [frameLimits.body + 1, 2 ** 31, 0xffffffff]
  for (const body of sizes) assert.throws(() => openReader().push(header({ body })), isKv("KV_LIMIT"))
  for (const attachment of [frameLimits.attachment + 1, 0xffffffff]) {
    assert.throws(() => openReader().push(header({ attachment })), isKv("KV_LIMIT"))
  }
  assert.deepEqual(
    openReader().push(header({ body: frameLimits.body, attachment: frameLimits.attachment })),
    [],
  )
})

test("until the reader is told so, a body is short and there is no attachment", () => {
  const { opening } = frameLimits
  assert.throws(() => new FrameReader().push(header({ body: opening + 1 })), isKv("KV_LIMIT"))
  assert.deepEqual(new FrameReader().push(header({ body: opening })), [])
  assert.throws(() => new FrameReader().push(header({ attachment: 1 })), isKv("KV_LIMIT"))
  assert.equal(new FrameReader().push(encodeFrame({ body: 1 })).length, 1)
})

test("a wrong mark, another version, a body that is no JSON or no UTF-8 are refused", () => {
  for (const mark of [0, 0x4359464a, 0x20544547]) {
    assert.throws(() => openReader().push(header({ mark })), isKv("KV_WIRE_INVALID"))
  }
  for (const version of [0, protocolVersion + 1, 0xffff]) {
    assert.throws(() => openReader().push(header({ version })), /control protocol/)
  }
  for (const body of [
    Buffer.from("{]"),
    Buffer.from(""),
    Buffer.from("{}{}"),
    Buffer.from([0x22, 0xff, 0x22]),
    Buffer.from([0x22, 0xc3, 0x22]),
    Buffer.from("{}", "utf16le"),
  ]) {
    const bytes = Buffer.concat([header({ body: body.length }), body])
    assert.throws(() => openReader().push(bytes), isKv("KV_WIRE_INVALID"))
  }
})

test("random bytes are refused with a code of ours, or wait for more: nothing else is thrown", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, marked) => {
      const stream = marked ? Buffer.concat([header({ body: 20 }), bytes]) : bytes
      try {
        openReader().push(stream)
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
