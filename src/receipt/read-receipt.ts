import { type Fields, fields, list, text, whole } from "../wire/fields.ts"
import { integrityLevels, receiptSchema, type TransferReceipt, verdicts } from "./receipt.ts"

/** How a ticket can end, for filters and tables. */
export const ticketEnds = ["delivered", "failed", "cancelled", "expired"] as const

const railsMax = 64

/**
 * A receipt of this version from one line of JSON, or undefined when the line is something else.
 *
 * Every field that this package reads is checked; others are kept as they came.
 */
export function readReceiptLine(line: string): TransferReceipt | undefined {
  try {
    const receipt = fields(JSON.parse(line), "receipt")
    checkReceipt(receipt)
    return receipt as unknown as TransferReceipt
  } catch {
    // Torn, foreign, or of another version: the caller counts it, the reason is of no use to anybody.
    return undefined
  }
}

/** Throws when a field is not what this version writes. */
function checkReceipt(receipt: Fields): void {
  oneOf(receipt, "schema", [receiptSchema])
  text(receipt, "ticket", 64)
  text(receipt, "requestId", 256)
  text(receipt, "trace", 256)
  oneOf(receipt, "state", ticketEnds)
  if (!Number.isFinite(Date.parse(text(receipt, "endedAt", 64)))) throw new RangeError("endedAt")
  oneOf(receipt, "direction", ["read", "write"])
  oneOf(receipt, "mode", ["copy", "attach"])
  for (const side of ["source", "target"] as const) {
    const party = fields(receipt[side], side)
    whole(party, "pid")
    text(party, "agentId", 256)
    text(party, "bootId", 64)
  }
  const path = fields(receipt["path"], "path")
  text(path, "transport", 64)
  text(path, "why", 16_384)
  list(path, "rails", railsMax, (entry) => {
    const rail = fields(entry, "rail")
    whole(rail, "rail")
    whole(rail, "bytes")
    if (rail["device"] !== undefined) text(rail, "device", 64)
    if (rail["registered"] !== undefined) text(rail, "registered", 1024)
  })
  for (const count of ["tokens", "layers", "blocks", "pieces", "bytes", "bytesPerSecond", "retries"]) {
    whole(receipt, count)
  }
  const micros = fields(receipt["micros"], "micros")
  for (const step of ["grant", "plan", "post", "move", "prove", "total"]) whole(micros, step)
  const integrity = fields(receipt["integrity"], "integrity")
  oneOf(integrity, "level", integrityLevels)
  oneOf(integrity, "verdict", verdicts)
  whole(integrity, "checked")
  whole(integrity, "epochs")
  if (receipt["error"] !== undefined) {
    const error = fields(receipt["error"], "error")
    text(error, "code", 64)
    text(error, "what", 16_384)
  }
}

function oneOf(from: Fields, name: string, allowed: readonly string[]): void {
  if (!allowed.includes(text(from, name, 64))) throw new RangeError(name)
}
