import crypto from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import type { Random } from "./random.ts"

/**
 * Lets the whole process draw its random bytes from a seed, until what is returned is called.
 *
 * Agents make nonces and ids with `node:crypto`. A source of random bytes that can be handed to an agent would be one
 * that can be handed in by mistake, so the module is replaced from outside, here, where no secret is at stake.
 */
export function seedCrypto(random: Random): () => void {
  const real = crypto.randomBytes
  const seeded = (size: number): Buffer => {
    const bytes = Buffer.alloc(size)
    for (let i = 0; i < size; i++) bytes[i] = random.uint32()
    return bytes
  }
  replace(seeded as typeof crypto.randomBytes)
  return () => replace(real)
}

function replace(randomBytes: typeof crypto.randomBytes): void {
  crypto.randomBytes = randomBytes
  syncBuiltinESMExports()
}
