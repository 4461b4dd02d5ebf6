import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import {
  direction,
  greetingBytes,
  greetingProblem,
  headerBytes,
  pieceBytes,
  readPiece,
  readRequest,
  readResponse,
  requestBytesMax,
  requestPiecesMax,
  status,
  streamMagic,
  writeGreeting,
  writePiece,
  writeRequest,
  writeResponse,
} from "./stream-frames.ts"

const uint32 = fc.nat({ max: 2 ** 32 - 1 })
const dirty = (bytes: number): DataView => new DataView(new Uint8Array(bytes).fill(0xa5).buffer)

test("a request comes out as it went in, also over memory that was used before", () => {
  const requests = fc.record({
    direction: fc.constantFrom(direction.read, direction.write),
    batch: uint32,
    pieces: fc.integer({ min: 1, max: requestPiecesMax }),
    bytes: fc.integer({ min: 1, max: requestBytesMax }),
  })
  fc.assert(
    fc.property(requests, (request) => {
      const data = dirty(headerBytes)
      writeRequest(data, request)
      assert.deepEqual(readRequest(data), structuredClone(request))
    }),
  )
})

test("a response and every line of a piece table come out as they went in", () => {
  const responses = fc.record({ status: uint32, batch: uint32, piece: uint32, bytes: fc.nat() })
  const pieces = fc.array(
    fc.record({ rkey: uint32, length: uint32, offset: fc.nat({ max: Number.MAX_SAFE_INTEGER }) }),
    { minLength: 1, maxLength: 20 },
  )
  fc.assert(
    fc.property(responses, pieces, (response, list) => {
      const data = dirty(headerBytes + list.length * pieceBytes)
      for (const [i, { rkey, length, offset }] of list.entries()) writePiece(data, i, rkey, length, offset)
      writeResponse(data, response)
      assert.deepEqual(readResponse(data), structuredClone(response))
      assert.deepEqual(
        list.map((_, i) => readPiece(data, i)),
        structuredClone(list),
      )
    }),
  )
})

test("a request outside the limits is none of ours", () => {
  const good = { direction: direction.read, batch: 1, pieces: 1, bytes: 1 }
  const wrong = [
    { direction: 0 },
    { direction: 3 },
    { pieces: 0 },
    { pieces: requestPiecesMax + 1 },
    { bytes: 0 },
    { bytes: -1 },
    { bytes: 1.5 },
    { bytes: Number.NaN },
    { bytes: Number.POSITIVE_INFINITY },
    { bytes: requestBytesMax + 1 },
  ]
  for (const change of wrong) {
    const data = dirty(headerBytes)
    writeRequest(data, { ...good, ...change })
    assert.equal(readRequest(data), undefined, JSON.stringify(change))
  }
})

test("whatever 32 bytes come, a header is read within the limits or not at all", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: headerBytes, maxLength: headerBytes }),
      fc.boolean(),
      (bytes, marked) => {
        const data = new DataView(new Uint8Array(bytes).buffer)
        if (marked) data.setUint32(0, streamMagic, true)
        const request = readRequest(data)
        if (request !== undefined) {
          assert.ok(request.pieces >= 1 && request.pieces <= requestPiecesMax)
          assert.ok(request.bytes >= 1 && request.bytes <= requestBytesMax)
        }
        assert.equal(readResponse(data) === undefined, data.getUint32(0, true) !== streamMagic)
      },
    ),
  )
})

test("a greeting is known by mark and version, and what is wrong with another is said", () => {
  const data = new DataView(new ArrayBuffer(greetingBytes))
  assert.match(greetingProblem(data) ?? "", /mark/)
  writeGreeting(data)
  assert.equal(greetingProblem(data), undefined)
  data.setUint16(4, 9, true)
  assert.match(greetingProblem(data) ?? "", /version 9/)
})

test("every status has a number of its own", () => {
  const numbers = Object.values(status)
  assert.equal(new Set(numbers).size, numbers.length)
})
