import { createHmac, timingSafeEqual } from "node:crypto"

/**
 * What one side sends to prove that it knows a session's key, without showing it.
 *
 * @param purpose tells one use of the key from every other, so that no proof fits in another place.
 * @param nonces fresh random bytes of the side that checks, and of the other one where both prove themselves.
 */
export function sessionProof(
  key: Uint8Array,
  purpose: string,
  session: string,
  ...nonces: Uint8Array[]
): Uint8Array {
  const mac = createHmac("sha256", key).update(`kvferry ${purpose}\n`).update(session)
  for (const nonce of nonces) mac.update(nonce)
  return mac.digest()
}

/** Compares a received proof with the right one, in constant time. */
export function sameProof(received: Uint8Array, expected: Uint8Array): boolean {
  return received.byteLength === expected.byteLength && timingSafeEqual(received, expected)
}
