import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../../errors/kv-error.ts"
import { encodeFrame, type Frame, FrameReader, wantsMax } from "./frames.ts"

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })
const u32 = fc.nat({ max: 2 ** 32 - 1 })
const hex = bytes(16).map((id) => Buffer.from(id).toString("hex"))

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>

const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.constantFrom<Frame>({ kind: "call" }, { kind: "refused" }, { kind: "ready" }, { kind: "ended" }),
  record({ kind: fc.constant("greeting" as const), nonce: bytes(16) }),
  record({ kind: fc.constant("hello" as const), session: hex, nonce: bytes(16), proof: bytes(32) }),
  record({ kind: fc.constant("admitted" as const), proof: bytes(32), token: bytes(32) }),
  record({ kind: fc.constant("join" as const), token: bytes(32) }),
  record({
    kind: fc.constant("want" as const),
    wants: fc.array(record({ region: u32, rkey: u32 }), { minLength: 1, maxLength: wantsMax }),
  }),
  record({
    kind: fc.constant("handed" as const),
    answers: fc.array(record({ status: u32, slot: u32, access: u32, length: fc.double() }), {
      minLength: 1,
      maxLength: wantsMax,
    }),
  }),
  record({ kind: fc.constantFrom("closed" as const, "returned" as const), slot: u32 }),
)

test("frames come out as they went in, however their bytes are cut", () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat({ max: 200 })), (frames, cuts) => {
      const stream = Buffer.concat(frames.map(encodeFrame))
      const reader = new FrameReader()
      const heard: Frame[] = []
      let at = 0
      for (const cut of [...cuts, stream.byteLength]) {
        heard.push(...reader.take(stream.subarray(at, at + cut)))
        at += cut
      }
      assert.deepEqual(heard, frames)
    }),
  )
})

test("any bytes at all are frames or an error of ours", () => {
  const nearlyRight = fc.tuple(frame, fc.nat({ max: 100 }), fc.nat({ max: 255 })).map(([good, at, value]) => {
    const encoded = encodeFrame(good)
    encoded[at % encoded.byteLength] = value
    return encoded
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), nearlyRight), (garbage) => {
      try {
        new FrameReader().take(garbage)
      } catch (error) {
        assert.ok(error instanceof KvError && error.code === "KV_WIRE_INVALID", String(error))
      }
    }),
    { numRuns: 2000 },
  )
})

test("a frame that claims more items than one may have is refused by its header", () => {
  const header = encodeFrame({ kind: "want", wants: [{ region: 1, rkey: 2 }] }).slice(0, 8)
  for (const count of [0, wantsMax + 1, 65535]) {
    new DataView(header.buffer).setUint16(6, count, true)
    assert.throws(() => new FrameReader().take(header), /has \d+ items/)
  }
})
