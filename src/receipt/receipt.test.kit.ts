import { receiptSchema, type TransferReceipt } from "./receipt.ts"

/** A receipt of a delivered pull of 3 MiB, but for what `changes` says. */
export function receiptOf(changes: Partial<TransferReceipt> = {}): TransferReceipt {
  return {
    schema: receiptSchema,
    ticket: "0123456789abcdef",
    requestId: "request-1",
    trace: "00-6bd422d0172fd2a4fc8a66aedbd1c036-ae8a6c08f0e35c5f-00",
    state: "delivered",
    endedAt: "2026-11-20T19:25:04.159Z",
    direction: "read",
    mode: "copy",
    source: { pid: 7, agentId: "prefill-1", bootId: "11".repeat(16) },
    target: { pid: 8, agentId: "decode-1", bootId: "22".repeat(16) },
    path: {
      transport: "tcp",
      why: "tcp: both sides speak tcp (first allowed path)",
      rails: [{ rail: 0, bytes: 3 * 2 ** 20 }],
    },
    tokens: 768,
    layers: 4,
    blocks: 48,
    pieces: 4,
    bytes: 3 * 2 ** 20,
    micros: { grant: 907, plan: 186, post: 12, move: 2940, prove: 1610, total: 5671 },
    bytesPerSecond: 1_069_976_000,
    retries: 0,
    integrity: { level: "full", checked: 192, epochs: 48, verdict: "identical" },
    ...changes,
  }
}
