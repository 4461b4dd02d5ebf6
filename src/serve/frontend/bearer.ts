import { createHash, timingSafeEqual } from "node:crypto"

/** True when an `authorization` header carries `secret` as its bearer. Takes the same time for any guess. */
export function isBearer(header: string | undefined, secret: string): boolean {
  const match = /^bearer +(.+)$/i.exec(header ?? "")
  return match !== null && timingSafeEqual(digest(match[1]!), digest(secret))
}

// Digests have one length, which timingSafeEqual asks for.
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest()
}
