import { createHash } from "node:crypto"

/** What a content security policy calls a style or a script by, so that this one may stand in the page and no other. */
export function sourceHash(source: string): string {
  return `'sha256-${createHash("sha256").update(source).digest("base64")}'`
}
