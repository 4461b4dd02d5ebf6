import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { differencesBetween } from "./differences.ts"
import { epochs, ownersMax, Pattern, regionBytesMax, regionsMax } from "./pattern.ts"

const place = fc.record(
  {
    owner: fc.nat(ownersMax - 1),
    region: fc.nat(regionsMax - 1),
    epoch: fc.nat(epochs - 1),
    poison: fc.boolean(),
    offset: fc.nat(regionBytesMax / 8 - 1).map((word) => word * 8),
  },
  { noNullPrototype: true },
)

test("a word leads back to its place, whatever the seed", () => {
  fc.assert(
    fc.property(fc.nat(2 ** 32 - 1), place, (seed, where) => {
      const pattern = new Pattern(seed)
      const { offset, ...filling } = where
      assert.deepEqual(pattern.placeOf(pattern.bytesAt(filling, offset, 8), 0), where)
    }),
  )
})

test("bytes from any offset, of any length, into any alignment, are those of the whole region", () => {
  const pattern = new Pattern(7)
  const filling = { owner: 3, region: 9, epoch: 4, poison: false }
  const whole = pattern.bytesAt(filling, 0, 4096)
  fc.assert(
    fc.property(fc.nat(2000), fc.nat(2000), fc.nat(9), (offset, length, alignment) => {
      const room = new Uint8Array(length + alignment + 9)
      pattern.fill(room.subarray(alignment, alignment + length), filling, offset)
      assert.deepEqual(room.subarray(alignment, alignment + length), whole.subarray(offset, offset + length))
      assert.ok(room.subarray(0, alignment).every((byte) => byte === 0))
      assert.ok(room.subarray(alignment + length).every((byte) => byte === 0))
    }),
  )
})

test("each byte of a word depends on its place: two places share no more bytes than chance", () => {
  const pattern = new Pattern(1)
  const bytes = pattern.bytesAt({ owner: 0, region: 0, epoch: 0, poison: false }, 0, 8 * 4096)
  for (const other of [
    pattern.bytesAt({ owner: 1, region: 0, epoch: 0, poison: false }, 0, 8 * 4096),
    pattern.bytesAt({ owner: 0, region: 1, epoch: 0, poison: false }, 0, 8 * 4096),
    pattern.bytesAt({ owner: 0, region: 0, epoch: 1, poison: false }, 0, 8 * 4096),
    pattern.bytesAt({ owner: 0, region: 0, epoch: 0, poison: true }, 0, 8 * 4096),
    pattern.bytesAt({ owner: 0, region: 0, epoch: 0, poison: false }, 8, 8 * 4096),
    new Pattern(2).bytesAt({ owner: 0, region: 0, epoch: 0, poison: false }, 0, 8 * 4096),
  ]) {
    for (let lane = 0; lane < 8; lane++) {
      let equal = 0
      for (let at = lane; at < bytes.length; at += 8) equal += bytes[at] === other[at] ? 1 : 0
      // 4096 draws of 1 in 256: 16 by chance.
      assert.ok(equal < 60, `${equal} of 4096 bytes of lane ${lane} are equal`)
    }
  }
})

test("words of another seed, and noise, lead nowhere", () => {
  const [ours, theirs] = [new Pattern(1), new Pattern(2)]
  const bytes = theirs.bytesAt({ owner: 0, region: 0, epoch: 0, poison: false }, 0, 8 * 10_000)
  let known = 0
  for (let at = 0; at < bytes.length; at += 8) known += ours.placeOf(bytes, at) === undefined ? 0 : 1
  assert.ok(known < 10, `${known} of 10000 words of another seed were taken for ours`)
})

test("any single bit that flips in a region is found, and where", () => {
  const pattern = new Pattern(5)
  const expected = pattern.bytesAt({ owner: 0, region: 0, epoch: 0, poison: true }, 0, 100_003)
  fc.assert(
    fc.property(fc.nat(expected.length - 1), fc.nat(7), (at, bit) => {
      const found = expected.slice()
      found[at]! ^= 1 << bit
      assert.deepEqual(differencesBetween(expected, found), {
        ranges: [{ start: at, end: at + 1 }],
        wrongBytes: 1,
      })
    }),
  )
  assert.equal(differencesBetween(expected, expected.slice()), undefined)
})

test("every wrong byte is counted, and every wrong run is in a range", () => {
  const expected = new Uint8Array(70_000)
  fc.assert(
    fc.property(fc.array(fc.nat(expected.length - 1), { minLength: 1, maxLength: 40 }), (places) => {
      const found = expected.slice()
      for (const at of places) found[at] = 1
      const differences = differencesBetween(expected, found)!
      assert.equal(differences.wrongBytes, new Set(places).size)
      for (const at of places) assert.ok(differences.ranges.some(({ start, end }) => at >= start && at < end))
    }),
  )
})
