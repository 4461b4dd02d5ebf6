import assert from "node:assert/strict"
import { test } from "node:test"
import { layerBytes, wholeModelLayout } from "../kv/kv-layout.ts"
import { cacheOf, KvPool } from "./kv-pool.ts"
import { PlainMemory } from "./plain-memory.test.kit.ts"

const layout = wholeModelLayout({ layers: 3, kvHeads: 2, headDim: 4, elementBytes: 4 }, { blocks: 6 })

test("a pool maps one region for each layer, and closing it closes each once", () => {
  const memory = new PlainMemory()
  const pool = new KvPool(layout, memory)
  assert.deepEqual(
    memory.mappings.map(({ byteLength }) => byteLength),
    Array(3).fill(layerBytes(layout)),
  )
  assert.equal(new Set(memory.mappings.map(({ name }) => name)).size, 3)
  assert.equal(pool.allocator.free, 6)
  pool[Symbol.dispose]()
  assert.deepEqual(
    memory.mappings.map(({ closed }) => closed),
    [1, 1, 1],
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
