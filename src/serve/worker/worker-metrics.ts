import { errorCodes, type KvErrorCode } from "../../errors/codes.ts"
import { secondBuckets } from "../../metrics/histogram.ts"
import type { Registry } from "../../metrics/registry.ts"
import { type TransferReceipt, verdicts } from "../../receipt/receipt.ts"
import { transportNames } from "../transports.ts"
import type { KvWorker } from "./worker.ts"

/** What a worker counts. */
export interface WorkerMetrics {
  transferred(receipt: TransferReceipt): void
  failed(code: KvErrorCode): void
}

/** Declares a worker's metrics; gauges read the worker itself. */
export function workerMetrics(registry: Registry, worker: KvWorker): WorkerMetrics {
  const gauge = (name: string, help: string, read: () => number): void =>
    void registry.readGauge({ name, help }, read)
  gauge("kvferry_pool_blocks", "Blocks of the pool.", () => worker.pool.allocator.blocks)
  gauge("kvferry_pool_free_blocks", "Blocks that nothing uses.", () => worker.pool.allocator.free)
  gauge("kvferry_open_leases", "Sequences that peers may still read.", () => worker.agent.openLeases)
  gauge(
    "kvferry_prompt_tokens_computed",
    "Prompt tokens computed since the start; 0 on a decode worker.",
    () => worker.engine.counters.promptTokens,
  )
  gauge(
    "kvferry_decode_tokens_computed",
    "Decode steps computed since the start.",
    () => worker.engine.counters.decodeTokens,
  )
  gauge(
    "kvferry_receipts_lost",
    "Receipts since the start that could not be written to their folder.",
    () => worker.receiptsLost,
  )
  const transports = [...transportNames]
  const bytes = registry.counter(
    { name: "kvferry_transfer_bytes_total", help: "Payload bytes of finished transfers by transport." },
    { transport: transports },
  )
  const ends = registry.counter(
    { name: "kvferry_transfers_total", help: "Transfers by how they ended." },
    { state: ["delivered", "failed", "cancelled", "expired"] },
  )
  const proofs = registry.counter(
    { name: "kvferry_integrity_verdicts_total", help: "Verdicts of the integrity check." },
    { verdict: verdicts },
  )
  const seconds = registry.histogram(
    { name: "kvferry_transfer_duration_seconds", help: "From the claim to the end of a transfer." },
    secondBuckets(-5, 1),
  )
  const errors = registry.counter(
    { name: "kvferry_errors_total", help: "Failed requests by code." },
    { code: Object.keys(errorCodes) as KvErrorCode[] },
  )
  return {
    transferred: (receipt) => {
      ends.add({ state: receipt.state })
      proofs.add({ verdict: receipt.integrity.verdict })
      bytes.add({ transport: receipt.path.transport }, receipt.bytes)
      seconds.observe({}, receipt.micros.total / 1e6)
    },
    failed: (code) => errors.add({ code }),
  }
}
