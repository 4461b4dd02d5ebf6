import type { KvError } from "../errors/kv-error.ts"
import { harmless, styleFor } from "../terminal/style.ts"

/** An error as lines for a terminal: what, why, what to do. */
export function describeError(error: KvError): string {
  const style = styleFor(process.stderr)
  const lines = [`${style.bad("kvferry:")} ${harmless(error.what)} ${style.faint(`(${error.code})`)}`]
  if (error.why !== undefined) lines.push(`  why:  ${harmless(error.why)}`)
  if (error.next !== undefined) lines.push(`  next: ${harmless(error.next)}`)
  return lines.join("\n")
}
