import { hkdfSync } from "node:crypto"
import type { SecureContextOptions } from "node:tls"

/**
 * TLS 1.3 alone, with the two ciphers that go with a key of SHA-256. Each handshake makes fresh keys on both sides, so
 * whoever learns a session's key later reads nothing of before.
 */
export const tlsOptions = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
} as const satisfies SecureContextOptions

/** The 32 bytes with which both sides of a session prove themselves to each other in a TLS handshake. */
export function tlsKey(sessionKey: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", sessionKey, "", "kvferry tls 1", 32))
}
