import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { AssertionFailed } from "../errors/assert.ts"
import { KvError } from "../errors/kv-error.ts"
import { BlockAllocator } from "./block-allocator.ts"

const isExhausted = (error: unknown): boolean =>
  error instanceof KvError && error.code === "KV_POOL_EXHAUSTED"

test("an allocator never hands out a taken block, counts right, and moves an epoch at each return", () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ allocate: fc.nat({ max: 12 }) }),
      fc.record({ release: fc.nat() }),
      fc.record({ releaseAgain: fc.nat() }),
    ),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30 }), steps, (blocks, list) => {
      const allocator = new BlockAllocator(blocks)
      const held: Uint32Array[] = []
      const returned: Uint32Array[] = []
      const taken = new Set<number>()
      const epochs = Array<number>(blocks).fill(0)
      for (const step of list) {
        if ("allocate" in step) {
          if (step.allocate > blocks - taken.size) {
            assert.throws(() => allocator.allocate(step.allocate), isExhausted)
          } else {
            const given = allocator.allocate(step.allocate)
            assert.equal(given.length, step.allocate)
            for (const block of given) {
              assert.ok(block < blocks && !taken.has(block), `block ${block} was free`)
              taken.add(block)
            }
            held.push(given)
          }
        } else if ("release" in step && held.length > 0) {
          const [given] = held.splice(step.release % held.length, 1)
          allocator.release(given!)
          for (const block of given!) {
            taken.delete(block)
            epochs[block]! += 1
          }
          returned.push(given!)
        } else if ("releaseAgain" in step && returned.length > 0) {
          const again = returned[step.releaseAgain % returned.length]!
          if (again.length > 0 && [...again].every((block) => !taken.has(block))) {
            assert.throws(() => allocator.release(again), AssertionFailed)
          }
        }
        assert.equal(allocator.free, blocks - taken.size)
        for (let block = 0; block < blocks; block++) assert.equal(allocator.epoch(block), epochs[block])
      }
    }),
  )
})

test("a pool that is exhausted says how many blocks were wanted and free, and takes nothing", () => {
  const allocator = new BlockAllocator(4)
  const first = allocator.allocate(3)
  assert.throws(() => allocator.allocate(2), /2 blocks were asked for, 1 of 4 are free/)
  assert.equal(allocator.free, 1)
  assert.deepEqual([...allocator.allocate(1)], [3])
  allocator.release(first)
  assert.equal(allocator.free, 3)
})

test("a fresh pool hands out neighbours, and a run that came back comes out in its order", () => {
  const allocator = new BlockAllocator(8)
  assert.deepEqual([...allocator.allocate(3)], [0, 1, 2])
  const run = allocator.allocate(4)
  assert.deepEqual([...run], [3, 4, 5, 6])
  allocator.release(run)
  assert.deepEqual([...allocator.allocate(4)], [3, 4, 5, 6])
})

test("a block that was never taken, or is none of the pool's, cannot be given back", () => {
  const allocator = new BlockAllocator(4)
  for (const block of [0, 3, 4, 2 ** 32 - 1]) {
    assert.throws(() => allocator.release(Uint32Array.of(block)), AssertionFailed)
  }
  assert.equal(allocator.free, 4)
  for (const block of [4, -1, 0.5, Number.NaN]) assert.throws(() => allocator.epoch(block), AssertionFailed)
})

test("a number of blocks that is no count is a broken invariant, not an empty allocation", () => {
  const allocator = new BlockAllocator(4)
  for (const count of [Number.NaN, -1, 0.5]) assert.throws(() => allocator.allocate(count), AssertionFailed)
  assert.equal(allocator.free, 4)
})
