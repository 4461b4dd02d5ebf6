import assert from "node:assert/strict"
import { test } from "node:test"
import { dealLoad, regionBytesOf } from "./deal-load.ts"
import { type LoadFlags, loadRequest } from "./load-request.ts"

const deal = (flags: LoadFlags) => dealLoad(loadRequest(flags))

test("the default load is ten blocks of 64 KiB in two layers, between two agents", () => {
  const { agents, moves, bytes, pieces } = deal({})
  assert.deepEqual(
    agents.map(({ name }) => name),
    ["prefill-0", "decode-0"],
  )
  assert.equal(moves.length, 1)
  assert.equal(bytes, 10 * 2 * 65_536)
  assert.equal(pieces, 20, "a piece a block, also for neighbours")
  assert.equal(regionBytesOf(agents[0]!.cache), 100 * 65_536)
  const [{ sourceBlocks, targetBlocks, poster }] = moves as [(typeof moves)[0]]
  assert.deepEqual(sourceBlocks, [2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  assert.deepEqual(targetBlocks, [89, 90, 91, 92, 93, 94, 95, 96, 97, 98])
  assert.equal(poster, 1)
})

test("a write is posted by its source", () => {
  assert.equal(deal({ op: "write" }).moves[0]!.poster, 0)
})

test("random blocks are the same for a seed, never 0 or 1, and other ones at the target", () => {
  const blocks = (seed: number) => deal({ randomBlocks: true, seed, blocks: 40 }).moves[0]!
  assert.deepEqual(blocks(7), blocks(7))
  const { sourceBlocks, targetBlocks } = blocks(7)
  assert.notDeepEqual(sourceBlocks, targetBlocks)
  assert.notDeepEqual(sourceBlocks, blocks(8).sourceBlocks)
  for (const table of [sourceBlocks, targetBlocks]) {
    assert.equal(new Set(table).size, 40)
    assert.ok(Math.min(...table) >= 2 && Math.max(...table) < 100)
  }
})

test("every engine takes part, and no target block is written twice", () => {
  for (const [prefillEngines, decodeEngines] of [
    [4, 2],
    [2, 4],
    [3, 2],
  ] as const) {
    const { moves, agents } = deal({ prefillEngines, decodeEngines, randomBlocks: true })
    assert.equal(moves.length, 4 - Number(prefillEngines === 3))
    assert.equal(new Set(moves.flatMap(({ source, target }) => [source, target])).size, agents.length)
    const written = moves.flatMap(({ target, targetBlocks }) =>
      targetBlocks.map((block) => `${target} ${block}`),
    )
    assert.equal(new Set(written).size, written.length)
  }
})

test("ranks with common heads meet: TP 4 to TP 8 is eight transfers, which fill every target block", () => {
  const { moves, bytes, agents } = deal({ prefillTp: 4, decodeTp: 8 })
  assert.equal(moves.length, 8)
  assert.equal(bytes, 4 * 10 * 2 * 65_536)
  assert.equal(agents[0]!.cache.heads, 2 * agents[4]!.cache.heads)
  assert.equal(deal({ prefillTp: 2, decodeTp: 2 }).moves.length, 2)
})

test("a batch cuts the sequence into transfers", () => {
  const { moves, bytes } = deal({ batch: 4 })
  assert.deepEqual(
    moves.map(({ sourceBlocks }) => sourceBlocks.length),
    [4, 3, 3],
  )
  assert.equal(bytes, 10 * 2 * 65_536)
})

test("more agents than can be told apart are refused", () => {
  assert.throws(() => deal({ prefillEngines: 4, prefillTp: 8, decodeTp: 8 }), /40 agents/)
})
