import assert from "node:assert/strict"
import { test } from "node:test"
import { AssertionFailed } from "../errors/assert.ts"
import { ControlMemory } from "./control-memory.ts"

test("control memory is zeroed, aligned, and its blocks do not overlap", () => {
  using memory = new ControlMemory(4096)
  const blocks = [1, 8, 63, 64, 65, 200].map((size) => memory.take(size))
  for (const [index, block] of blocks.entries()) {
    assert.equal(block.address % 64, 0)
    assert.ok(block.u8.every((byte) => byte === 0))
    block.u8.fill(index + 1)
  }
  for (const [index, block] of blocks.entries()) assert.ok(block.u8.every((byte) => byte === index + 1))
})

test("the bytes, words and fields of a block are the same memory", () => {
  using memory = new ControlMemory(4096)
  memory.take(64)
  const { u8, u32, data } = memory.take(16)
  u32[1] = 0x01020304
  assert.deepEqual([...u8.subarray(4, 8)], [4, 3, 2, 1])
  assert.equal(data.getUint32(4, true), 0x01020304)
  assert.equal(u32.length, 4)
})

test("an arena that is used up is a broken invariant, never memory behind its end", () => {
  using memory = new ControlMemory(128)
  memory.take(100)
  assert.throws(() => memory.take(1), AssertionFailed)
})

test("a block reads zeros when its arena is closed, and a second close changes nothing", () => {
  const memory = new ControlMemory(4096)
  const block = memory.take(64)
  block.u8.fill(7)
  memory[Symbol.dispose]()
  memory[Symbol.dispose]()
  assert.ok(block.u8.every((byte) => byte === 0))
})
