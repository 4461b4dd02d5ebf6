import { randomBytes } from "node:crypto"

const SANE = /^[A-Za-z0-9._:-]{1,128}$/

/** The client's own request id when it is harmless in a header, a log line and a URL; else a new one. */
export function requestIdFrom(header: string | string[] | undefined): string {
  return typeof header === "string" && SANE.test(header) ? header : `req-${randomBytes(12).toString("hex")}`
}
