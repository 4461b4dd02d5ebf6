import type { TransferReceipt } from "../../receipt/receipt.ts"
import type { DecodeEvent, Evidence, PrefillAnswer } from "../protocol.ts"
import type { ApiError } from "./api-error.ts"
import type { FrontendMetrics } from "./frontend-metrics.ts"
import type { Job } from "./job.ts"
import type { FinishReason, RequestRecord } from "./request-record.ts"
import type { Worker } from "./worker-pool.ts"

type EndEvent = Extract<DecodeEvent, { event: "end" }>

/** Follows one generation and knows at every moment what its record would say; counts its metrics on the way. */
export class GenerationLog {
  readonly #job: Job
  readonly #model: string
  readonly #metrics: FrontendMetrics
  readonly #now: () => number
  #tokens = 0
  #firstTokenMillis: number | undefined
  #lastTokenMillis = 0
  #prefill: { worker: Worker; answer: PrefillAnswer } | undefined
  #decode: Worker | undefined
  #transfer: TransferReceipt | undefined
  #arrived: Evidence | undefined
  #end: EndEvent | undefined

  constructor(
    job: Job,
    model: string,
    metrics: FrontendMetrics,
    now: () => number = () => performance.now(),
  ) {
    this.#job = job
    this.#model = model
    this.#metrics = metrics
    this.#now = now
  }

  /** Tokens generated so far, an end-of-text token that was not sent included. */
  get completionTokens(): number {
    return this.#end?.tokens ?? this.#tokens
  }

  /** True once the prompt's blocks are with the decode worker. */
  get delivered(): boolean {
    return this.#transfer?.state === "delivered"
  }

  /** The prompt is computed. */
  prefilled(worker: Worker, answer: PrefillAnswer): void {
    this.#prefill = { worker, answer }
    this.#metrics.prefilled(answer.promptTokens)
  }

  /** A decode worker has taken over. */
  accepted(worker: Worker): void {
    this.#decode = worker
  }

  /** The transfer ended, well or not. */
  transferred(receipt: TransferReceipt): void {
    this.#transfer = receipt
    this.#metrics.transferred(receipt)
  }

  /** The transfer failed; what had arrived by then is evidence too. */
  failed(receipt: TransferReceipt, evidence: Evidence | undefined): void {
    this.transferred(receipt)
    this.#arrived = evidence
  }

  /** A token arrived. */
  token(): void {
    const now = this.#now()
    if (this.#firstTokenMillis === undefined) {
      this.#firstTokenMillis = now
      this.#metrics.firstToken((now - this.#job.startedMillis) / 1e3)
    } else {
      this.#metrics.nextToken((now - this.#lastTokenMillis) / 1e3)
    }
    this.#lastTokenMillis = now
    this.#tokens += 1
  }

  /** The decode worker said its last. */
  ended(end: EndEvent): void {
    this.#end = end
  }

  /** What is to be remembered, now that it is over. */
  record(outcome: { finishReason?: FinishReason; error?: ApiError }): RequestRecord {
    const job = this.#job
    const first = this.#firstTokenMillis
    const gaps = this.#tokens - 1
    return {
      requestId: job.requestId,
      trace: job.trace,
      model: this.#model,
      endpoint: job.endpoint,
      stream: job.stream,
      startedAt: job.startedAt,
      promptTokens: job.tokens.length,
      maxTokens: job.maxTokens,
      completionTokens: this.completionTokens,
      sampling: job.sampling,
      ttftMicros: first === undefined ? null : micros(first - job.startedMillis),
      perTokenMicros: first === undefined || gaps < 1 ? null : micros((this.#lastTokenMillis - first) / gaps),
      totalMicros: micros(this.#now() - job.startedMillis),
      finishReason: outcome.finishReason ?? null,
      prefill: this.#prefillRecord(),
      decode: this.#decodeRecord(),
      decodePromptTokensComputed: this.#end?.promptTokensComputed ?? null,
      transfer: this.#transfer ?? null,
      ...(outcome.error === undefined ? {} : { error: toldError(outcome.error) }),
      ...this.#evidence(),
    }
  }

  #prefillRecord(): RequestRecord["prefill"] {
    if (this.#prefill === undefined) return null
    const { worker, answer } = this.#prefill
    const { agent, agentId, bootId } = answer.handover
    const source = this.#transfer?.source
    // The receipt tells the pid, provided that it speaks of the process that this prompt was computed by.
    const pid = source !== undefined && source.bootId === bootId ? source.pid : null
    return { worker: worker.url, agent, agentId, bootId, pid, prefillMicros: answer.prefillMicros }
  }

  #decodeRecord(): RequestRecord["decode"] {
    if (this.#decode === undefined) return null
    const target = this.#transfer?.target
    return {
      worker: this.#decode.url,
      agentId: target?.agentId ?? null,
      bootId: target?.bootId ?? null,
      pid: target?.pid ?? null,
      decodeMicros: this.#end?.decodeMicros ?? null,
    }
  }

  #evidence(): { evidence: { prefill?: Evidence; decode?: Evidence } } | Record<string, never> {
    if (!this.#job.evidence) return {}
    const prefill = this.#prefill?.answer.evidence
    const decode = this.#end?.evidence ?? this.#arrived
    return {
      evidence: {
        ...(prefill === undefined ? {} : { prefill }),
        ...(decode === undefined ? {} : { decode }),
      },
    }
  }
}

function toldError({ code, status, message }: ApiError): NonNullable<RequestRecord["error"]> {
  return { code, status, message }
}

function micros(millis: number): number {
  return Math.round(millis * 1e3)
}
