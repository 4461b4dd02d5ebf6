import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { readReceiptLine } from "./read-receipt.ts"
import { receiptOf } from "./receipt.test.kit.ts"

const line = (changes: object): string => JSON.stringify({ ...receiptOf(), ...changes })

test("a receipt of this version is read, with fields of a later one kept", () => {
  assert.deepEqual(readReceiptLine(line({})), receiptOf())
  assert.equal((readReceiptLine(line({ later: 1 })) as { later?: number } | undefined)?.later, 1)
  const rails = [{ rail: 0, bytes: 7, device: "mlx5_0", registered: "local write | relaxed ordering" }]
  const nic = { path: { ...receiptOf().path, rails } }
  assert.deepEqual(readReceiptLine(line(nic))?.path.rails, rails)
  const failed = { state: "failed", error: { code: "KV_PEER_LOST", what: "it is gone" } }
  assert.equal(readReceiptLine(line(failed))?.error?.code, "KV_PEER_LOST")
})

test("what is no receipt of this version is refused, field by field", () => {
  const receipt = receiptOf()
  const cases: object[] = [
    { schema: "kvferry/receipt/1" },
    { ticket: 7 },
    { requestId: "x".repeat(1000) },
    { state: "posted" },
    { endedAt: "yesterday" },
    { direction: "up" },
    { mode: "move" },
    { source: null },
    { target: { ...receipt.target, agentId: undefined } },
    { path: { ...receipt.path, rails: [{ rail: 0, bytes: -1 }] } },
    { path: { ...receipt.path, rails: [{ rail: 0, bytes: 1, device: 7 }] } },
    { path: { ...receipt.path, rails: [{ rail: 0, bytes: 1, registered: "x".repeat(1025) }] } },
    { path: { ...receipt.path, rails: Array(65).fill(receipt.path.rails[0]) } },
    { bytes: 1.5 },
    { bytesPerSecond: "fast" },
    { micros: { ...receipt.micros, post: undefined } },
    { integrity: { ...receipt.integrity, verdict: "fine" } },
    { error: "failed" },
  ]
  for (const changes of cases)
    assert.equal(readReceiptLine(line(changes)), undefined, JSON.stringify(changes))
})

test("no text makes the reader throw: torn lines, other JSON, anything", () => {
  const whole = line({})
  for (let cut = 0; cut < whole.length; cut++) assert.equal(readReceiptLine(whole.slice(0, cut)), undefined)
  fc.assert(fc.property(fc.json(), (text) => assert.equal(readReceiptLine(text), undefined)))
  fc.assert(fc.property(fc.string(), (text) => assert.equal(readReceiptLine(text), undefined)))
})
