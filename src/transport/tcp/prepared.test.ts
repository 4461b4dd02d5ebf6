import assert from "node:assert/strict"
import { randomFillSync } from "node:crypto"
import { test } from "node:test"
import { xxh64 } from "@node-rs/xxhash"
import { stripe } from "../../plan/stripe.ts"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import type { HashUnits } from "../transport.ts"
import { isKv, mib, openHonest, openRig, regionBytes } from "./raw-stream.test.kit.ts"

const soon = (): number => performance.now() + 20_000

type Piece = readonly [source: number, target: number, length: number]

function planOf(pieces: readonly Piece[], rails = 1): TransferPlan {
  const builder = new PlanBuilder(pieces.length)
  for (const [source, target, length] of pieces) builder.add(0, source, 0, target, length, 0)
  return stripe(builder.finish(), rails)
}

function unitsOf(units: readonly (readonly [offset: number, length: number])[]): HashUnits {
  return {
    count: units.length,
    region: new Uint32Array(units.length),
    offset: Float64Array.from(units, ([offset]) => offset),
    length: Uint32Array.from(units, ([, length]) => length),
    seed: BigUint64Array.from(units, (_, i) => (BigInt(i) << 32n) | 7n),
  }
}

for (const [name, bytes, rails] of [
  ["small", 4096, 1],
  ["large, over two rails", 3 * mib, 2],
] as const) {
  test(`a prepared move is posted again and again: ${name}`, async () => {
    await using rig = await openRig()
    await using honest = await openHonest(rig, rails)
    const pieces: Piece[] = [
      [0, 100, bytes / 2],
      [8 * mib, 4 * mib, bytes / 2],
    ]
    const plan = planOf(pieces, rails)
    await using prepared = honest.connection.prepare({ direction: "read", plan, remote: [rig.descriptor] })
    for (let round = 0; round < 5; round++) {
      randomFillSync(rig.span.view(0, regionBytes))
      const moved = await prepared.post({ deadline: soon() })
      assert.equal(moved.bytes, bytes)
      for (const [source, target, length] of pieces) {
        assert.equal(Buffer.compare(rig.span.view(source, length), honest.target.view(target, length)), 0)
      }
    }
    // Its columns are told to the movers once more after it was disposed of.
    await prepared[Symbol.asyncDispose]()
    await prepared.post({ deadline: soon() })
  })
}

test("a thousand prepared moves at once each bring their own bytes", async () => {
  await using rig = await openRig()
  await using honest = await openHonest(rig, 2)
  randomFillSync(rig.span.view(0, regionBytes))
  const count = 1000
  const length = 16_000
  const moves = Array.from({ length: count }, (_, i) =>
    honest.connection.prepare({
      direction: "read",
      plan: planOf([[((i * 7) % count) * length, i * length, length]]),
      remote: [rig.descriptor],
    }),
  )
  for (let round = 0; round < 2; round++) {
    honest.target.view(0, regionBytes).fill(0)
    await Promise.all(moves.map((move) => move.post({ deadline: soon() })))
    for (let i = 0; i < count; i++) {
      const [from, to] = [((i * 7) % count) * length, i * length]
      assert.equal(
        Buffer.compare(rig.span.view(from, length), honest.target.view(to, length)),
        0,
        `move ${i}`,
      )
    }
  }
  await Promise.all(moves.map((move) => move[Symbol.asyncDispose]()))
})

for (const bytes of [4096, mib]) {
  test(`a prepared move of ${bytes} bytes is refused when its region was closed, also when another has its number now`, async () => {
    await using rig = await openRig()
    await using honest = await openHonest(rig)
    const plan = planOf([[0, 0, bytes]])
    const prepared = honest.connection.prepare({ direction: "read", plan, remote: [rig.descriptor] })
    await prepared.post({ deadline: soon() })
    honest.target.view(0, bytes).fill(0x11)
    await honest.endpoint.deregister(0)
    await assert.rejects(prepared.post({ deadline: soon() }), isKv("KV_RKEY_REJECTED"))
    await honest.endpoint.register(0, rig.span, { read: true, write: true })
    await assert.rejects(prepared.post({ deadline: soon() }), isKv("KV_RKEY_REJECTED"))
    assert.equal(
      honest.target.view(0, bytes).findIndex((byte) => byte !== 0x11),
      -1,
    )
  })
}

test("a prepared move that is under way is not posted a second time", async () => {
  await using rig = await openRig()
  await using honest = await openHonest(rig)
  const plan = planOf([[0, 0, 8 * mib]])
  await using prepared = honest.connection.prepare({ direction: "read", plan, remote: [rig.descriptor] })
  const first = prepared.post({ deadline: soon() })
  await assert.rejects(prepared.post({ deadline: soon() }), isKv("KV_USAGE"))
  await first
  await prepared.post({ deadline: soon() })
})

for (const [name, pieceBytes, pieces, rails, budget] of [
  ["on the calling thread", 1000, 8, 1, 5_000_000],
  ["in the mover of one rail", 200_000, 40, 1, 0],
  ["in the movers of two rails", 200_000, 40, 2, 0],
  ["of small pieces", 2000, 4000, 2, 0],
] as const) {
  test(`units are hashed where they land: ${name}`, async () => {
    await using rig = await openRig()
    await using honest = await openHonest(rig, rails, { postSpinMicros: budget })
    const plan = planOf(
      Array.from(
        { length: pieces },
        (_, i): Piece => [((i * 13) % pieces) * pieceBytes, ((i * 17) % pieces) * pieceBytes * 2, pieceBytes],
      ),
      rails,
    )
    // Two units in each piece, with a byte between them that belongs to none; last piece first.
    const half = pieceBytes / 2
    const units = [...plan.targetOffset]
      .reverse()
      .flatMap((offset) => [[offset, half - 1] as const, [offset + half, half] as const])
    const request = {
      direction: "read",
      plan,
      remote: [rig.descriptor],
      hashes: unitsOf(units),
    } as const
    await using prepared = honest.connection.prepare(request)
    const expected = (): bigint[] =>
      units.map(([offset, length], i) => xxh64(honest.target.view(offset, length), request.hashes.seed[i]))
    randomFillSync(rig.span.view(0, regionBytes))
    const first = await prepared.post({ deadline: soon() })
    const before = expected()
    assert.deepEqual([...first.hashes!], before)
    randomFillSync(rig.span.view(0, regionBytes))
    const second = await prepared.post({ deadline: soon() })
    assert.deepEqual([...second.hashes!], expected())
    assert.deepEqual([...first.hashes!], before, "what was answered does not change any more")
    assert.notDeepEqual([...second.hashes!], before)
  })
}

test("units that lie in no single piece are hashed at the end, too many of them are left to the caller", async () => {
  await using rig = await openRig()
  await using honest = await openHonest(rig)
  randomFillSync(rig.span.view(0, regionBytes))
  const plan = planOf([
    [0, 0, 100],
    [500, 100, 100],
  ])
  const move = (units: readonly (readonly [number, number])[], region = 0) => {
    const hashes = unitsOf(units)
    hashes.region.fill(region)
    return honest.connection.move({
      direction: "read",
      plan,
      remote: [rig.descriptor],
      hashes,
      deadline: soon(),
    })
  }
  const across = [50, 100] as const
  const moved = await move([[0, 10], across, [190, 10]])
  const expected = ([offset, length]: readonly [number, number], unit: number): bigint =>
    xxh64(honest.target.view(offset, length), (BigInt(unit) << 32n) | 7n)
  assert.deepEqual(
    moved.hashes,
    BigUint64Array.of(expected([0, 10], 0), expected(across, 1), expected([190, 10], 2)),
  )
  const many = await move(Array.from({ length: 65 }, () => across))
  assert.equal(many.hashes, undefined)
  assert.equal(many.bytes, 200)
  await assert.rejects(move([[regionBytes - 1, 2]]), isKv("KV_REGION_BOUNDS"))
  await assert.rejects(move([[Number.NaN, 2]]), isKv("KV_REGION_BOUNDS"))
  await assert.rejects(move([across], 9), isKv("KV_RKEY_REJECTED"))
})
