import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { epochBytes } from "../memory/kv-pool.ts"
import { PlainMemory } from "../memory/plain-memory.test.kit.ts"
import { preparedByRunning } from "../transport/prepared-move.ts"
import type { Connection, MoveRequest } from "../transport/transport.ts"
import { isKv } from "./scripted.test.kit.ts"
import { StampArena, StampCheck } from "./stamps.ts"

const soon = { deadline: 1e12 }

/** A peer of `stamps`, and what was read of them; `lazy` completes without having read. */
function openRemote(stamps: Uint32Array, arena: StampArena, options: { lazy?: boolean } = {}) {
  const read: boolean[] = []
  let runs = 0
  const run = async ({ plan }: MoveRequest) => {
    read.length = 0
    runs = plan.pieces
    for (let i = 0; i < plan.pieces; i++) {
      assert.equal(plan.targetRegion[i], arena.region)
      const [from, length] = [plan.sourceOffset[i]!, plan.length[i]!]
      assert.ok(from + length <= stamps.byteLength, "nothing behind the stamps is read")
      for (let at = from; at < from + length; at += epochBytes) read[at / epochBytes] = true
      if (options.lazy === true) continue
      const source = new Uint8Array(stamps.buffer, stamps.byteOffset + from, length)
      arena.mapping.view(plan.targetOffset[i]!, length).set(source)
    }
    return { bytes: plan.bytes, pieces: plan.pieces, rails: [], retries: 0 }
  }
  const prepare: Connection["prepare"] = (request) => preparedByRunning(request, run)
  return { connection: { prepare } as Connection, read, runs: () => runs }
}

const region = (stamps: Uint32Array) => ({ region: 9, length: stamps.byteLength, rkeys: [1], iova: 0 })

/** A pool's size, and different blocks of it in any order. */
const poolAndBlocks = fc
  .integer({ min: 1, max: 20_000 })
  .chain((pool) =>
    fc.tuple(
      fc.constant(pool),
      fc.uniqueArray(fc.nat({ max: pool - 1 }), { minLength: 1, maxLength: Math.min(pool, 300) }),
    ),
  )

test("for any pool and any blocks, the first block in the sequence's order whose stamp has moved is found", async () => {
  await fc.assert(
    fc.asyncProperty(
      poolAndBlocks,
      fc.infiniteStream(fc.nat({ max: 2 ** 32 - 1 })),
      async ([pool, list], random) => {
        const next = (): number => random.next().value as number
        const stamps = Uint32Array.from({ length: pool }, next)
        const blocks = Uint32Array.from(list)
        const epochs = blocks.map((block) => stamps[block]!)
        const arena = new StampArena(new PlainMemory(), 3)
        const { connection, read } = openRemote(stamps, arena)
        await using check = new StampCheck(connection, arena, { blocks, epochs, remote: region(stamps) })
        assert.equal(check.count, blocks.length)
        assert.equal(await check.firstMoved(soon), undefined)
        for (const block of list) assert.ok(read[block], `the stamp of block ${block} was not read`)
        // Others may move as they like.
        const used = new Set(list)
        for (let block = 0; block < pool; block++) if (!used.has(block)) stamps[block] = next()
        assert.equal(await check.firstMoved(soon), undefined)
        const moved = new Set([next() % list.length, next() % list.length])
        for (const position of moved) stamps[blocks[position]!]! += 1 + (next() % 1000)
        assert.equal(await check.firstMoved(soon), Math.min(...moved))
      },
    ),
    { numRuns: 60 },
  )
})

test("neighbours are read in one run, and blocks far apart do not read all between them", async () => {
  const stamps = new Uint32Array(100_000)
  const arena = new StampArena(new PlainMemory(), 3)
  const { connection, read, runs } = openRemote(stamps, arena)
  const blocks = Uint32Array.of(99_999, 0, 7, 500, 50_000)
  await using check = new StampCheck(connection, arena, {
    blocks,
    epochs: new Uint32Array(5),
    remote: region(stamps),
  })
  await check.firstMoved(soon)
  assert.equal(runs(), 3)
  assert.ok(read.filter(Boolean).length < 1000)
})

test("a look that reads nothing does not pass for one that read: an earlier look's stamps do not count", async () => {
  const stamps = Uint32Array.of(4, 5, 6)
  const arena = new StampArena(new PlainMemory(), 3)
  const options = { lazy: false }
  const { connection } = openRemote(stamps, arena, options)
  const blocks = Uint32Array.of(2, 0)
  const request = { blocks, epochs: Uint32Array.of(6, 4), remote: region(stamps) }
  await using check = new StampCheck(connection, arena, request)
  assert.equal(await check.firstMoved(soon), undefined)
  options.lazy = true
  assert.equal(await check.firstMoved(soon), 0)
})

test("a stamp that has gone round to a smaller number has moved too", async () => {
  const stamps = Uint32Array.of(2 ** 32 - 1)
  const arena = new StampArena(new PlainMemory(), 3)
  const { connection } = openRemote(stamps, arena)
  const request = { blocks: Uint32Array.of(0), epochs: Uint32Array.from(stamps), remote: region(stamps) }
  await using check = new StampCheck(connection, arena, request)
  assert.equal(await check.firstMoved(soon), undefined)
  stamps[0]! += 1
  assert.equal(await check.firstMoved(soon), 0)
})

test("a check that cannot be prepared leaves its slot to others", () => {
  const arena = new StampArena(new PlainMemory(), 3)
  const broken = {
    prepare: () => {
      throw new Error("refused")
    },
  } as unknown as Connection
  const blocks = Uint32Array.of(0)
  for (let i = 0; i < 3; i++) {
    const remote = region(blocks)
    assert.throws(() => new StampCheck(broken, arena, { blocks, epochs: blocks, remote }), /refused/)
  }
  assert.equal(arena.take(4 * 2 ** 20).start, 0, "all of it is free")
})

test("the arena's slots never overlap, and all of it is free again when all were given back", () => {
  const step = fc.oneof(
    fc.record({ take: fc.integer({ min: 1, max: 600_000 }) }),
    fc.record({ give: fc.nat() }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const arena = new StampArena(new PlainMemory(), 3)
      const size = arena.mapping.byteLength
      const taken: { start: number; length: number }[] = []
      for (const next of steps) {
        if ("give" in next) {
          const [slot] = taken.splice(next.give % Math.max(1, taken.length), 1)
          if (slot !== undefined) arena.give(slot)
          continue
        }
        let slot: { start: number; length: number } | undefined
        try {
          slot = arena.take(next.take)
        } catch (thrown) {
          assert.ok(isKv("KV_LIMIT")(thrown))
          continue
        }
        assert.ok(slot.length >= next.take && slot.start >= 0 && slot.start + slot.length <= size)
        assert.equal(slot.start % 64, 0)
        for (const other of taken) {
          const apart = slot.start + slot.length <= other.start || other.start + other.length <= slot.start
          assert.ok(apart, `${slot.start}+${slot.length} overlaps ${other.start}+${other.length}`)
        }
        taken.push({ ...slot })
      }
      for (const slot of taken) arena.give(slot)
      assert.deepEqual(arena.take(size), { start: 0, length: size }, "neighbours have grown together")
      assert.throws(() => arena.take(1), isKv("KV_LIMIT"))
    }),
    { numRuns: 200 },
  )
})
