import assert from "node:assert/strict"
import { test } from "node:test"
import { receiptOf } from "./receipt.test.kit.ts"
import { matches, type ReceiptFilter } from "./receipt-filter.ts"
import { ReceiptSummary } from "./receipt-summary.ts"

test("each condition lets in what it names and keeps out the rest; all must hold", () => {
  const receipt = receiptOf({ requestId: "demo-17" })
  const ended = Date.parse(receipt.endedAt)
  const cases: [ReceiptFilter, boolean][] = [
    [{}, true],
    [{ request: "demo-17" }, true],
    [{ request: "demo-1" }, true],
    [{ request: "emo" }, false],
    [{ trace: receipt.trace }, true],
    [{ trace: "6bd422d0172fd2a4" }, true],
    [{ trace: "ae8a6c08f0e35c5f" }, false],
    [{ states: ["failed", "delivered"] }, true],
    [{ states: ["failed"] }, false],
    [{ verdicts: ["identical"] }, true],
    [{ verdicts: ["different"] }, false],
    [{ transports: ["shm", "tcp"] }, true],
    [{ transports: ["shm"] }, false],
    [{ peer: "prefill-1" }, true],
    [{ peer: "decode-1" }, true],
    [{ peer: "decode" }, false],
    [{ sinceMillis: ended }, true],
    [{ sinceMillis: ended + 1 }, false],
    [{ slowerMicros: receipt.micros.total - 1 }, true],
    [{ slowerMicros: receipt.micros.total }, false],
    [{ peer: "decode-1", states: ["failed"] }, false],
  ]
  for (const [filter, expected] of cases) {
    assert.equal(matches(receipt, filter), expected, JSON.stringify(filter))
  }
})

test("a summary counts tickets, bytes, states and verdicts, and ranks the times", () => {
  const summary = new ReceiptSummary()
  assert.equal(summary.timeWithin(0.5), 0)
  for (let total = 100; total >= 1; total--) {
    const state = total % 10 === 0 ? "failed" : "delivered"
    summary.add(receiptOf({ state, bytes: 2, micros: { ...receiptOf().micros, total } }))
  }
  assert.deepEqual([summary.tickets, summary.bytes], [100, 200])
  assert.deepEqual([summary.timeWithin(0.5), summary.timeWithin(0.99), summary.timeWithin(1)], [50, 99, 100])
  assert.deepEqual(Object.fromEntries(summary.states), { failed: 10, delivered: 90 })
  assert.deepEqual(Object.fromEntries(summary.verdicts), { identical: 100 })
})
