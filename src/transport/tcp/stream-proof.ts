import { sameProof, sessionProof } from "../session-proof.ts"

/** What a caller sends to prove that it knows the session's key: bound to this stream by the listener's nonce. */
export function streamProof(key: Uint8Array, session: string, nonce: Uint8Array): Uint8Array {
  return sessionProof(key, "stream 1", session, nonce)
}

/** Compares a received proof in constant time. */
export function provesSession(
  proof: Uint8Array,
  key: Uint8Array,
  session: string,
  nonce: Uint8Array,
): boolean {
  return sameProof(proof, streamProof(key, session, nonce))
}
