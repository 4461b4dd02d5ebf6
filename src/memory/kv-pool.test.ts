import assert from "node:assert/strict"
import { test } from "node:test"
import { layerBytes, wholeModelLayout } from "../kv/kv-layout.ts"
import { cacheOf, KvPool, stampsOf } from "./kv-pool.ts"
import { PlainMemory } from "./plain-memory.test.kit.ts"

const layout = wholeModelLayout({ layers: 3, kvHeads: 2, headDim: 4, elementBytes: 4 }, { blocks: 6 })

test("a pool maps one region for each layer and one for the stamps, and closing it closes each once", () => {
  const memory = new PlainMemory()
  const pool = new KvPool(layout, memory)
  assert.deepEqual(
    memory.mappings.map(({ byteLength }) => byteLength),
    [...Array(3).fill(layerBytes(layout)), 6 * 4],
  )
  assert.equal(new Set(memory.mappings.map(({ name }) => name)).size, 4)
  assert.equal(pool.allocator.free, 6)
  pool[Symbol.dispose]()
  assert.deepEqual(
    memory.mappings.map(({ closed }) => closed),
    [1, 1, 1, 1],
  )
})

test("a pool that gets only a part of its memory gives that part back", () => {
  const memory = new PlainMemory(2)
  assert.throws(() => new KvPool(layout, memory), /refused on purpose/)
  assert.deepEqual(
    memory.mappings.map(({ closed }) => closed),
    [1, 1],
  )
})

test("cacheOf() shows each layer's whole region as numbers, without a copy", () => {
  const memory = new PlainMemory()
  using pool = new KvPool(layout, memory)
  const cache = cacheOf(layout, pool.spans)
  assert.equal(cache.layers.length, 3)
  cache.layers[1]![5] = 1.5
  const view = pool.spans[1]!.view(20, 4)
  assert.equal(new DataView(view.buffer, view.byteOffset).getFloat32(0, true), 1.5)
  assert.equal(cache.layers[2]!.byteLength, layerBytes(layout))
})

test("a block's stamp is in memory that peers can read, and moves when the block is given back", () => {
  const memory = new PlainMemory()
  using pool = new KvPool(layout, memory)
  const stamps = stampsOf(pool.epochs, layout.blocks)
  const blocks = pool.allocator.allocate(2)
  assert.deepEqual([...stamps], [0, 0, 0, 0, 0, 0])
  pool.allocator.release(blocks.slice(1))
  assert.equal(stamps[blocks[1]!], 1)
  assert.equal(pool.allocator.epoch(blocks[1]!), 1)
  assert.equal(stamps[blocks[0]!], 0)
})
