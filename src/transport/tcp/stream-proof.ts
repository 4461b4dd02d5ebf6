import { createHmac, timingSafeEqual } from "node:crypto"

/** What a caller sends to prove that it knows the session's key: bound to this stream by the listener's nonce. */
export function streamProof(key: Uint8Array, session: string, nonce: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update("kvferry stream 1\n").update(session).update(nonce).digest()
}

/** Compares a received proof in constant time. */
export function provesSession(
  proof: Uint8Array,
  key: Uint8Array,
  session: string,
  nonce: Uint8Array,
): boolean {
  return timingSafeEqual(proof, streamProof(key, session, nonce))
}
