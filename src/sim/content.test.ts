import assert from "node:assert/strict"
import { test } from "node:test"
import * as fc from "fast-check"
import { type KvLayout, layerBytes, wholeModelLayout } from "../kv/kv-layout.ts"
import { PlainMapping } from "../memory/plain-memory.test.kit.ts"
import { fillSequence, firstMisplaced, isScribbled, placeOf, scribble, wordOf } from "./content.ts"

const shape = { layers: 2, kvHeads: 2, headDim: 3, elementBytes: 4 }

function stored(layout: KvLayout, filling: number, blocks: number[], tokens: number) {
  const spans = [0, 1].map((layer) => new PlainMapping(layerBytes(layout), `layer-${layer}`))
  const sequence = { layout, spans, blocks: Uint32Array.from(blocks), tokens, filling }
  fillSequence(sequence)
  return sequence
}

test("a word tells the place that it belongs to", () => {
  const place = fc.tuple(fc.nat(2 ** 14 - 1), fc.nat(7), fc.nat(2 ** 15 - 1))
  fc.assert(
    fc.property(place, ([filling, layer, index]) => {
      assert.deepEqual(placeOf(wordOf(filling, layer, index)), { filling, layer, index })
    }),
  )
})

for (const order of ["head-major", "token-major"] as const) {
  test(`every single byte of a ${order} sequence that is changed is found, and no other`, () => {
    const layout = wholeModelLayout(shape, { blocks: 4, blockTokens: 3, order })
    const sequence = stored(layout, 9, [2, 0], 5)
    assert.equal(firstMisplaced(sequence), undefined)
    let found = 0
    for (const span of sequence.spans) {
      for (let at = 0; at < span.byteLength; at++) {
        span.view(at, 1)[0]! ^= 1
        if (firstMisplaced(sequence) !== undefined) found += 1
        span.view(at, 1)[0]! ^= 1
      }
    }
    // Two layers, five tokens, two planes, two heads, rows of twelve bytes.
    assert.equal(found, 2 * 5 * 2 * 2 * 12)
  })
}

test("words of another filling, layer or token are named", () => {
  const layout = wholeModelLayout(shape, { blocks: 4, blockTokens: 3 })
  const sequence = stored(layout, 9, [2, 0], 5)
  const other = stored(layout, 10, [2, 0], 5)
  sequence.spans[1]!.view(0, layerBytes(layout)).set(other.spans[0]!.view(0, layerBytes(layout)))
  assert.deepEqual(firstMisplaced(sequence)?.found, { filling: 10, layer: 0, index: 0 })
})

test("a scribbled block is known to the byte", () => {
  const layout = wholeModelLayout(shape, { blocks: 4, blockTokens: 3 })
  const sequence = stored(layout, 9, [2, 0], 5)
  scribble(sequence, 11)
  assert.ok(isScribbled(sequence, 11))
  assert.equal(isScribbled(sequence, 12), false)
  sequence.spans[0]!.view(0, 1)[0]! ^= 4
  assert.equal(isScribbled(sequence, 11), false)
})
