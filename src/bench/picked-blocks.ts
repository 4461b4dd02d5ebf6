import { assert } from "../errors/assert.ts"

/**
 * `count` different numbers below `total` in random order, always the same ones for a seed.
 *
 * A shuffle by Fisher and Yates that stops after `count` draws.
 */
export function pickedBlocks(total: number, count: number, seed: number): Uint32Array {
  assert(count <= total, `${count} different blocks of ${total} were asked for`)
  const numbers = Uint32Array.from({ length: total }, (_, i) => i)
  let state = seed
  for (let i = 0; i < count; i++) {
    state = nextState(state)
    const j = i + (mixed(state) % (total - i))
    const taken = numbers[j]!
    numbers[j] = numbers[i]!
    numbers[i] = taken
  }
  return numbers.slice(0, count)
}

const nextState = (state: number): number => (state + 0x6d2b79f5) >>> 0

/** Tommy Ettinger's mulberry32: 32 bits that look random, from a counter. */
function mixed(state: number): number {
  let bits = Math.imul(state ^ (state >>> 15), state | 1)
  bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
  return (bits ^ (bits >>> 14)) >>> 0
}
