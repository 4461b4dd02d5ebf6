/**
 * Two random 32-bit numbers for a key and a counter, without any state: Threefry-2x32 with 20 rounds.
 *
 * Passes every statistical test battery its authors know, also for neighbouring keys and counters.
 * @see Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011); Random123 for the reference values
 */
export function threefry(
  key: readonly [number, number],
  counter: readonly [number, number],
): readonly [number, number] {
  const keys = [key[0], key[1], key[0] ^ key[1] ^ 0x1bd11bda] as const
  let x = (counter[0] + keys[0]) | 0
  let y = (counter[1] + keys[1]) | 0
  for (let round = 0; round < 20; round++) {
    x = (x + y) | 0
    const turn = rotations[round % 8]!
    y = ((y << turn) | (y >>> (32 - turn))) ^ x
    if (round % 4 !== 3) continue
    const injection = (round + 1) / 4
    x = (x + keys[injection % 3]!) | 0
    y = (y + keys[(injection + 1) % 3]! + injection) | 0
  }
  return [x >>> 0, y >>> 0]
}

const rotations = [13, 15, 26, 6, 17, 29, 16, 24] as const
