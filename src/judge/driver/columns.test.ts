import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { bytesOf, decodePieces, encodePieces, type Pieces, turned } from "./columns.ts"

const pieces: Pieces = {
  localRegion: Uint32Array.of(0, 1, 4_000_000_000),
  localOffset: Float64Array.of(0, 2 ** 40 + 1, 7),
  remoteRegion: Uint32Array.of(5, 6, 7),
  remoteOffset: Float64Array.of(1, 2, 3),
  length: Uint32Array.of(1, 4096, 2 ** 32 - 1),
}

test("pieces survive the way to a driver", () => {
  assert.deepEqual(decodePieces(JSON.parse(JSON.stringify(encodePieces(pieces)))), pieces)
  assert.deepEqual(turned(turned(pieces)), pieces)
  assert.deepEqual(turned(pieces).localRegion, pieces.remoteRegion)
  assert.equal(bytesOf(pieces), 1 + 4096 + 2 ** 32 - 1)
})

test("a slice of a larger array travels as itself", () => {
  const part = { ...pieces, length: pieces.length.subarray(1), localRegion: pieces.localRegion.subarray(1) }
  const columns = encodePieces({
    ...part,
    localOffset: part.localOffset.subarray(1),
    remoteRegion: part.remoteRegion.subarray(1),
    remoteOffset: part.remoteOffset.subarray(1),
  })
  assert.deepEqual([...decodePieces(columns).length], [4096, 2 ** 32 - 1])
})

test("columns of different lengths are refused", () => {
  const columns = encodePieces(pieces)
  for (const wrong of [
    { ...columns, pieces: 2 },
    { ...columns, length: "AAA" },
    { ...columns, pieces: -1 },
  ]) {
    assert.throws(() => decodePieces(wrong), KvError)
  }
})
