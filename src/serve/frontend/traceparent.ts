import { randomBytes } from "node:crypto"

const SHAPE = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/**
 * The `traceparent` for the calls below this request: the client's trace with a span of ours,
 * or a new trace when the client sent none that is valid.
 *
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */
export function childTrace(header: string | string[] | undefined): string {
  const parent = typeof header === "string" ? parse(header) : undefined
  const span = randomBytes(8).toString("hex")
  if (parent === undefined) return `00-${randomBytes(16).toString("hex")}-${span}-00`
  return `00-${parent.traceId}-${span}-${parent.sampled ? "01" : "00"}`
}

function parse(header: string): { traceId: string; sampled: boolean } | undefined {
  const match = SHAPE.exec(header.trim())
  if (match === null) return undefined
  const [, version, traceId, parentId, flags, rest] = match
  // Version 00 has exactly four fields; a later version may have more; ff is forbidden.
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined
  if (/^0+$/.test(traceId!) || /^0+$/.test(parentId!)) return undefined
  return { traceId: traceId!, sampled: (Number.parseInt(flags!, 16) & 1) === 1 }
}
