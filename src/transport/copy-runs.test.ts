import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { MemorySpan } from "../memory/host-memory.ts"
import { PlanBuilder } from "../plan/transfer-plan.ts"
import { copyOfMove } from "./copy-runs.ts"
import type { HashUnits, RegionDescriptor } from "./transport.ts"

const gib = 2 ** 30
/** Our regions 0 to 2 lie at 1, 2 and 3 GiB; the peer's at 101, 102 and 103. */
const local = new Map([0, 1, 2].map((region) => [region, spanAt((region + 1) * gib)]))
const remote: RegionDescriptor[] = [0, 1, 2].map((region) => ({ region, length: gib, rkeys: [7], iova: 0 }))
const remoteBase = (region: number): number => (101 + region) * gib

function spanAt(address: number): MemorySpan {
  return { byteLength: gib, addressOf: (offset: number) => address + offset } as unknown as MemorySpan
}

type Unit = readonly [region: number, offset: number, length: number]

const unitsOf = (units: readonly Unit[]): HashUnits => ({
  count: units.length,
  region: Uint32Array.from(units, ([region]) => region),
  offset: Float64Array.from(units, ([, offset]) => offset),
  length: Uint32Array.from(units, ([, , length]) => length),
  seed: BigUint64Array.from(units, (_, i) => BigInt(i)),
})

test("a read takes the peer's addresses as its source, a write as its target", () => {
  const plan = new PlanBuilder(1)
  plan.add(2, 10, 1, 20, 30, 0)
  const finished = plan.finish()
  const read = copyOfMove({ direction: "read", plan: finished, remote }, local, remoteBase, 77).runs
  assert.deepEqual([...read.sourceAddress, ...read.targetAddress], [103 * gib + 10, 2 * gib + 20])
  assert.deepEqual(read.remote, { pid: 77, side: "source" })
  const write = copyOfMove({ direction: "write", plan: finished, remote }, local, remoteBase, 77).runs
  assert.deepEqual([...write.sourceAddress, ...write.targetAddress], [3 * gib + 10, 102 * gib + 20])
  assert.deepEqual(write.remote, { pid: 77, side: "target" })
  const mapped = copyOfMove({ direction: "read", plan: finished, remote }, local, () =>
    spanAt(200 * gib),
  ).runs
  assert.equal(mapped.remote, undefined)
  assert.equal(mapped.sourceAddress[0], 200 * gib + 10)
  assert.deepEqual(
    mapped.spans!.map((span) => span.addressOf(0, 1)),
    [200 * gib, 2 * gib],
  )
})

/** Blocks of 100 bytes with units of 50 in them: which blocks of which regions, and the order of the units. */
const shuffled = fc
  .uniqueArray(fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 40 })), {
    selector: String,
    minLength: 1,
    maxLength: 30,
  })
  .chain((blocks) =>
    fc.tuple(
      fc.constant(blocks),
      fc.shuffledSubarray(
        blocks.flatMap(([region, block]): Unit[] => [
          [region, block * 100, 50],
          [region, block * 100 + 50, 50],
        ]),
      ),
    ),
  )

test("each unit is given to the run that it lies in, in ascending order, whatever order they came in", () => {
  fc.assert(
    fc.property(shuffled, fc.boolean(), ([blocks, shuffledUnits], inOrder) => {
      const builder = new PlanBuilder(blocks.length)
      for (const [region, block] of blocks)
        builder.add(0, 7000 + region * 9000 + block * 100, region, block * 100, 100, 0)
      const plan = builder.finish()
      const place = ([region, offset]: Unit): number =>
        blocks.findIndex(([r, b]) => r === region && b === Math.floor(offset / 100)) * 100 + (offset % 100)
      const units = inOrder ? [...shuffledUnits].sort((a, b) => place(a) - place(b)) : shuffledUnits
      const copy = copyOfMove({ direction: "read", plan, remote, hashes: unitsOf(units) }, local, remoteBase)
      const { hashes } = copy.runs
      if (units.length === 0) return assert.equal(hashes, undefined)
      assert.ok(hashes !== undefined)
      const found = new BigUint64Array(units.length)
      let before = [-1, -1]
      for (let i = 0; i < hashes.count; i++) {
        const run = hashes.run[i]!
        const start = copy.runs.spans![hashes.span[i]!]!.addressOf(hashes.offset[i]!, 1)
        assert.ok(start >= copy.runs.targetAddress[run]!)
        assert.ok(start + hashes.length[i]! <= copy.runs.targetAddress[run]! + copy.runs.length[run]!)
        assert.ok(run > before[0]! || (run === before[0] && start > before[1]!))
        before = [run, start]
        found[i] = hashes.seed[i]!
      }
      assert.deepEqual(
        copy.inOrder(found),
        BigUint64Array.from(units, (_, i) => BigInt(i)),
      )
    }),
  )
})

test("a unit that no piece brings is refused with its place", () => {
  const builder = new PlanBuilder(2)
  builder.add(0, 0, 1, 0, 100, 0)
  builder.add(0, 500, 1, 200, 100, 0)
  const plan = builder.finish()
  for (const unit of [
    [1, 50, 100],
    [1, 150, 10],
    [1, 300, 10],
    [2, 0, 10],
    [0, 0, 10],
    [1, 0, 300],
  ] as const) {
    const hashes = unitsOf([unit])
    assert.throws(
      () => copyOfMove({ direction: "read", plan, remote, hashes }, local, remoteBase),
      { code: "KV_REGION_BOUNDS" },
      String(unit),
    )
  }
})
