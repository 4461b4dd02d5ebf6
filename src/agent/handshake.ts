import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto"

/** Fewer bytes of a secret can be guessed. */
export const secretBytesMin = 16

/** What both sides know when the nonces have crossed. */
export interface Transcript {
  readonly callerAgent: string
  readonly callerBoot: string
  readonly callerNonce: string
  readonly listenerNonce: string
}

/** Which side proves: the two proofs differ, so neither can be sent back as the other. */
export type Side = "caller" | "listener"

/** Proof that `side` knows the cluster's secret, bound to this handshake by both nonces. Hexadecimal. */
export function handshakeProof(secret: Uint8Array, side: Side, transcript: Transcript): string {
  return createHmac("sha256", secret)
    .update(`kvferry handshake 1 ${side}\n`)
    .update(canonical(transcript))
    .digest("hex")
}

/** Compares a received proof in constant time. */
export function provesSecret(proof: string, secret: Uint8Array, side: Side, transcript: Transcript): boolean {
  const expected = Buffer.from(handshakeProof(secret, side, transcript), "hex")
  const given = Buffer.from(proof, "hex")
  return given.byteLength === expected.byteLength && timingSafeEqual(given, expected)
}

/** The key of the session that a handshake opened. It never crosses the wire. */
export function sessionOf(
  secret: Uint8Array,
  transcript: Transcript,
): { readonly id: string; readonly key: Uint8Array } {
  const material = new Uint8Array(hkdfSync("sha256", secret, canonical(transcript), "kvferry session 1", 48))
  return { id: Buffer.from(material.subarray(0, 16)).toString("hex"), key: material.slice(16) }
}

const canonical = (transcript: Transcript): string =>
  JSON.stringify([
    transcript.callerAgent,
    transcript.callerBoot,
    transcript.callerNonce,
    transcript.listenerNonce,
  ])
