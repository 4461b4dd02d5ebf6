import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../../errors/kv-error.ts"
import { homesOf } from "./homes.ts"
import { remoteKeysOf } from "./keys.ts"
import type { Lane } from "./lane.ts"
import {
  asked,
  homeRequests,
  keyOf,
  ModelFabric,
  type ModelMove,
  modelMove,
  modelMoves,
} from "./model-fabric.test.kit.ts"
import { cutUnits, type Units } from "./units.ts"

type Keys = (lane: Lane) => { local: ArrayLike<number>; remote: ArrayLike<number> }

/** The keys as the real rail loop binds them: those of the local rail here, those of the lane's remote rail there. */
function keysOf({ request, options, remoteRails }: ModelMove, units: Units): Keys {
  return (lane) => ({
    local: units.localRows.map(({ region, part }) => keyOf(region, part, lane.localRail)),
    remote: remoteKeysOf(units.remoteRows, lane.remoteRail, {
      descriptors: request.remote,
      rails: remoteRails,
      partBytes: options.remotePartBytes,
    }),
  })
}

/** Carries a cut move out on paper, and holds the result against its plan. */
function perform(
  move: ModelMove,
  change: { units?: (units: Units) => Units; keys?: (keys: Keys) => Keys } = {},
): void {
  const cut = cutUnits(move.request, move.options)
  const units = change.units?.(cut) ?? cut
  const keys = keysOf(move, units)
  const fabric = new ModelFabric(move)
  let bytes = 0
  for (const request of homeRequests(units, move.options.lanes, change.keys?.(keys) ?? keys)) {
    fabric.carryOut(request)
    bytes += request.length
    assert.ok(request.length <= move.options.sliceBytes, "no request is longer than a slice")
  }
  assert.equal(bytes, move.request.plan.bytes, "every byte is carried once")
  assert.deepEqual(fabric.written, asked(move.request.plan))
}

/** Two blocks of one region at offsets of their own, from our rail 0 to the peer's rail 1: enough to show both bugs. */
const twoBlocks = modelMove({
  direction: "read",
  localRails: 1,
  remoteRails: 2,
  sliceBytes: 40,
  localPartBytes: Number.POSITIVE_INFINITY,
  remotePartBytes: Number.POSITIVE_INFINITY,
  iova: 0x7f00_0000_0000,
  lanes: [{ local: 0, remote: 1, weight: 1 }],
  pieces: [
    { localRegion: 0, remoteRegion: 0, gap: 5, length: 30, rail: 0, back: false },
    { localRegion: 0, remoteRegion: 0, gap: 5, length: 30, rail: 0, back: false },
  ],
})

function shared<T extends { set(from: ArrayLike<number>): void }>(column: T, numbers: number[]): T {
  column.set(numbers)
  return column
}

test("cutUnits() carries every byte of a plan exactly once, with the keys of the lane's own rails", () => {
  fc.assert(
    fc.property(modelMoves, (move) => perform(move)),
    { numRuns: 500 },
  )
})

test("a base address used for every piece is found: the first bug of NIXL 0.6.1", () => {
  const mutant = (move: ModelMove): void =>
    perform(move, {
      units: (units) => ({
        ...units,
        remoteAddress: shared(
          new Float64Array(new SharedArrayBuffer(units.count * 8)),
          [...units.remoteKey].map((row) => {
            const { region } = units.remoteRows[row]!
            return move.request.remote.find((descriptor) => descriptor.region === region)!.iova
          }),
        ),
      }),
    })
  assert.throws(() => fc.assert(fc.property(modelMoves, mutant)))
  assert.throws(() => mutant(twoBlocks), /Expected values|inside one registration|deep-equal/)
})

test("a remote key chosen by the local rail's number is found: the second bug of NIXL 0.6.1", () => {
  const mutant = (move: ModelMove): void =>
    perform(move, {
      keys: (keys) => (lane) => ({
        local: keys(lane).local,
        remote: keys({ ...lane, remoteRail: lane.localRail }).remote,
      }),
    })
  assert.throws(() => fc.assert(fc.property(modelMoves, mutant)))
  assert.throws(() => mutant(twoBlocks), /the key of region/)
})

test("a slice that leaves out its last byte is found", () => {
  const mutant = (move: ModelMove): void =>
    perform(move, {
      units: (units) => ({
        ...units,
        length: shared(
          new Uint32Array(new SharedArrayBuffer(units.count * 4)),
          [...units.length].map((length) => length - 1),
        ),
      }),
    })
  assert.throws(() => mutant(twoBlocks), /every byte is carried once/)
})

test("a descriptor without a key for the lane's remote rail is refused, and key 0 is a key", () => {
  const rows = [{ region: 3, part: 0 }]
  const descriptor = { region: 3, length: 100, rkeys: [7, 0], iova: 0 }
  const keys = { descriptors: [descriptor], rails: 2, partBytes: Number.POSITIVE_INFINITY }
  assert.deepEqual([...remoteKeysOf(rows, 1, keys)], [0])
  const refused = (error: unknown): boolean => error instanceof KvError && error.code === "KV_RKEY_REJECTED"
  assert.throws(() => remoteKeysOf(rows, 2, keys), refused)
  assert.throws(() => remoteKeysOf(rows, 0, { ...keys, rails: 1 }), refused)
  assert.throws(() => remoteKeysOf([{ region: 4, part: 0 }], 0, keys), refused)
  assert.throws(() => remoteKeysOf([{ region: 3, part: 1 }], 0, keys), refused)
  assert.throws(() => remoteKeysOf(rows, 0, { ...keys, rails: 3 }), refused)
  assert.throws(
    () => remoteKeysOf(rows, 0, { ...keys, partBytes: 50 }),
    (error: unknown) => error instanceof KvError && error.code === "KV_REGION_BOUNDS",
  )
})

test("homesOf() shares a rail's bytes by the weights of its lanes, within one unit", () => {
  const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 })
  const lengths = fc.array(fc.integer({ min: 1, max: 100 }), { maxLength: 60 })
  fc.assert(
    fc.property(weights, lengths, (lanes, bytes) => {
      const homes = homesOf(lanes.map((weight, remoteRail) => ({ localRail: 2, remoteRail, weight })))
      const shares = homes.shares([bytes.length], Uint32Array.from(bytes))
      const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0)
      let weighed = 0
      shares.forEach(({ end }, lane) => {
        weighed += lanes[lane]!
        const wanted = (sum(bytes) * weighed) / sum(lanes)
        assert.ok(Math.abs(sum(bytes.slice(0, end)) - wanted) <= 50, "each border is within half a unit")
      })
      assert.equal(shares.at(-1)!.end, bytes.length)
    }),
  )
  assert.throws(() => homesOf([]), /broken invariant/)
  assert.throws(() => homesOf([{ localRail: 0, remoteRail: 0, weight: 0 }]), /broken invariant/)
})
