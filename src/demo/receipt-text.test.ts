import assert from "node:assert/strict"
import { test } from "node:test"
import { receiptOf } from "../receipt/receipt.test.kit.ts"
import type { RequestRecord } from "../serve/frontend/request-record.ts"
import { styleFor } from "../terminal/style.ts"
import { receiptLines } from "./receipt-text.ts"

type Rails = ReturnType<typeof receiptOf>["path"]["rails"]

const plain = styleFor({ isTTY: false }, {})
const linesWith = (rails: Rails): string[] => {
  const receipt = receiptOf()
  const transfer = { ...receipt, path: { ...receipt.path, rails } }
  const record = { requestId: "r", promptTokens: 1, completionTokens: 1, ttftMicros: 1, perTokenMicros: null }
  return receiptLines({ ...record, prefill: null, transfer } as unknown as RequestRecord, plain)
}

test("NICs are named with what each moved, and the flags of the regions", () => {
  const registered = "local write | relaxed ordering"
  const rails = [
    { rail: 0, bytes: 8192, device: "mlx5_0", registered },
    { rail: 1, bytes: 4096, device: "mlx5_1", registered },
  ]
  assert.ok(
    linesWith(rails).includes(
      `  │ rails     mlx5_0: 8.00 KiB, mlx5_1: 4.00 KiB; registered with ${registered}`,
    ),
  )
})

test("streams need no line of their own, and a hostile name does not reach the terminal raw", () => {
  assert.ok(!linesWith([{ rail: 0, bytes: 1 }]).some((line) => line.includes("rails  ")))
  const evil = linesWith([{ rail: 0, bytes: 1, device: "\u001b[2J", registered: "\u202e" }]).join("")
  assert.doesNotMatch(evil, /[\p{Cc}\p{Bidi_Control}]/u)
})
