import assert from "node:assert/strict"
import { test } from "node:test"
import { fitMemory, poolBytesOf } from "./fit-memory.ts"
import { loadRequest } from "./load-request.ts"

const large = loadRequest({ numBlocks: 3750, numLayers: 50, blocks: 128, randomBlocks: true })

test("3750 blocks of 50 layers are 24.6 GB, and scaled down where they do not fit", () => {
  assert.equal(poolBytesOf(large), 2 * 50 * 3750 * 65_536)
  const { numBlocks, blocks, notes } = fitMemory(large, 20 * 2 ** 30)
  assert.equal(blocks, 128)
  assert.ok(numBlocks < 3750 && numBlocks > 2000, String(numBlocks))
  assert.match(notes.join("\n"), new RegExp(`${numBlocks} blocks in place of 3750: 22.9 GiB would be needed`))
})

test("what fits is left as it is", () => {
  assert.equal(fitMemory(large, 2 ** 40), large)
})

test("a load whose blocks do not fit is refused with the numbers", () => {
  assert.throws(() => fitMemory(large, 2 ** 30), /need 813 MiB, and .* can be used here/)
})
