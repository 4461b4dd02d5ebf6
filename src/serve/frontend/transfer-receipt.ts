import { z } from "zod"
import { receiptSchema, type TransferReceipt, verdicts } from "../../receipt/receipt.ts"

const count = z.number().nonnegative()
const party = z.looseObject({ pid: count, agentId: z.string(), bootId: z.string() })

// The fields that the frontend reads itself. The rest is kept as it came.
const receiptForm = z.looseObject({
  schema: z.literal(receiptSchema),
  requestId: z.string(),
  state: z.enum(["delivered", "failed", "cancelled", "expired"]),
  source: party,
  target: party,
  path: z.looseObject({ transport: z.string(), why: z.string() }),
  bytes: count,
  micros: z.looseObject({ total: count }),
  integrity: z.looseObject({ verdict: z.enum(verdicts) }),
})

/** A worker's receipt, or undefined when it is not one of this version. */
export function transferReceiptFrom(value: unknown): TransferReceipt | undefined {
  const parsed = receiptForm.safeParse(value)
  return parsed.success ? (value as TransferReceipt) : undefined
}
