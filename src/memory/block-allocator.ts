import { assert } from "../errors/assert.ts"
import { KvError } from "../errors/kv-error.ts"

/**
 * Hands out the blocks of a pool, and knows of each whether it is taken and how often it has been reused.
 *
 * A block's epoch moves when the block is given back, before anybody can be handed it again: bytes that were read
 * before a look at the stamp are of the epoch that the stamp still shows. Peers may read the stamps themselves.
 */
export class BlockAllocator {
  readonly blocks: number
  readonly #free: number[]
  readonly #taken: Uint8Array
  readonly #epochs: Int32Array

  /** @param epochs one stamp for each block, in memory that peers can read; private ones when absent. */
  constructor(blocks: number, epochs: Int32Array = new Int32Array(blocks)) {
    assert(epochs.length === blocks, "there is one stamp for each block")
    this.blocks = blocks
    // Taken from the end: a fresh pool hands out 0, 1, 2, … and neighbours make long pieces.
    this.#free = Array.from({ length: blocks }, (_, i) => blocks - 1 - i)
    this.#taken = new Uint8Array(blocks)
    this.#epochs = epochs
  }

  get free(): number {
    return this.#free.length
  }

  /** @throws KvError KV_POOL_EXHAUSTED; nothing is taken then. */
  allocate(count: number): Uint32Array {
    assert(Number.isInteger(count) && count >= 0, "a number of blocks is a count")
    if (count > this.#free.length) {
      throw new KvError("KV_POOL_EXHAUSTED", {
        what: `${count} blocks were asked for, ${this.#free.length} of ${this.blocks} are free`,
        why: "the others belong to requests that run, or to leases that were not given back yet",
        next: "try again when a request has ended, or start the worker with more --blocks",
      })
    }
    const taken = Uint32Array.from({ length: count }, () => this.#free.pop()!)
    for (const block of taken) this.#taken[block] = 1
    return taken
  }

  /** Gives blocks back; each must be taken. */
  release(blocks: Uint32Array): void {
    for (const block of blocks) {
      assert(this.#taken[block] === 1, `block ${block} is given back once, by its owner`)
      this.#taken[block] = 0
      // Atomic, so that no write to the block can come before it, on any processor.
      Atomics.add(this.#epochs, block, 1)
    }
    // Backwards, so that the same run comes out in the same order.
    for (let i = blocks.length - 1; i >= 0; i--) this.#free.push(blocks[i]!)
  }

  /** How often a block was given back, modulo 2^32. */
  epoch(block: number): number {
    assert(
      Number.isInteger(block) && block >= 0 && block < this.blocks,
      "a block id is below the pool's size",
    )
    return Atomics.load(this.#epochs, block) >>> 0
  }
}
