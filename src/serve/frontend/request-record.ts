import type { TransferReceipt } from "../../receipt/receipt.ts"
import type { Evidence, Sampling } from "../protocol.ts"
import type { GenerationEndpoint } from "./generation-request.ts"

/** Why an answer ended. */
export type FinishReason = "stop" | "length"

/** The evidence of one generation, successful or not. Times in microseconds; null where it did not come to that. */
export interface RequestRecord {
  readonly requestId: string
  /** W3C `traceparent` as the workers got it. */
  readonly trace: string
  readonly model: string
  readonly endpoint: GenerationEndpoint
  readonly stream: boolean
  /** When the request arrived, as ISO 8601. */
  readonly startedAt: string
  readonly promptTokens: number
  readonly maxTokens: number
  readonly completionTokens: number
  readonly sampling: Sampling
  /** From the request's arrival to its first token. */
  readonly ttftMicros: number | null
  /** Mean time between tokens after the first. */
  readonly perTokenMicros: number | null
  readonly totalMicros: number
  readonly finishReason: FinishReason | null
  readonly prefill: PrefillRecord | null
  readonly decode: DecodeRecord | null
  /** Prompt tokens that the decode worker computed since it started: 0 when the cache was handed over. */
  readonly decodePromptTokensComputed: number | null
  readonly transfer: TransferReceipt | null
  /** As the client was told. */
  readonly error?: { readonly code: string; readonly status: number; readonly message: string }
  readonly evidence?: { readonly prefill?: Evidence; readonly decode?: Evidence }
}

/** The prefill half. The pid is known once a receipt named it. */
export interface PrefillRecord {
  readonly worker: string
  readonly agent: string
  readonly agentId: string
  readonly bootId: string
  readonly pid: number | null
  readonly prefillMicros: number
}

/** The decode half. Identity is known once a receipt named it. */
export interface DecodeRecord {
  readonly worker: string
  readonly agentId: string | null
  readonly bootId: string | null
  readonly pid: number | null
  /** Between the first and the last token, by the worker's clock. */
  readonly decodeMicros: number | null
}
