import type { EngineCounters, ModelInfo } from "../../engine/engine.ts"
import type { KvErrorRecord } from "../../errors/kv-error.ts"
import type { KvLayout } from "../../kv/kv-layout.ts"
import type { SharedSpan } from "../../memory/host-memory.ts"
import type { Sampling } from "../protocol.ts"

/** Which model a thread loads. */
export type ModelSource =
  | { readonly kind: "directory"; readonly directory: string; readonly contextTokens?: number }
  /** Weights made from a seed: for tests, which need no trained answer. */
  | { readonly kind: "random"; readonly seed: number }

/** A prompt to compute. */
export interface PrefillJob {
  readonly tokens: Uint32Array
  readonly blocks: Uint32Array
  readonly sampling: Sampling
  /** Asks for hashes of the logits. */
  readonly evidence: boolean
}

/** An answer to continue: its prompt is stored in `blocks`, its first token is known. */
export interface DecodeJob {
  readonly promptTokens: number
  readonly blocks: Uint32Array
  readonly firstToken: number
  readonly maxTokens: number
  readonly sampling: Sampling
  readonly ignoreEnd: boolean
  readonly evidence: boolean
}

/** What the main thread tells the engine's thread. */
export type EngineCommand =
  | { readonly type: "open"; readonly layout: KvLayout; readonly spans: readonly SharedSpan[] }
  | { readonly type: "prefill"; readonly job: number; readonly prefill: PrefillJob }
  | { readonly type: "decode"; readonly job: number; readonly decode: DecodeJob }
  | { readonly type: "cancel"; readonly job: number }
  | { readonly type: "stop" }

/** What the engine's thread tells the main thread. A job ends with one of the last four. */
export type EngineEvent =
  | { readonly type: "loaded"; readonly model: ModelInfo }
  | { readonly type: "ready" }
  | { readonly type: "broken"; readonly error: KvErrorRecord }
  | { readonly type: "token"; readonly job: number; readonly index: number; readonly token: number }
  | {
      readonly type: "prefilled"
      readonly job: number
      readonly token: number
      readonly micros: number
      readonly logits: readonly string[]
      /** The token that each of the logits gave. */
      readonly drawn: readonly number[]
      readonly counters: EngineCounters
    }
  | {
      readonly type: "decoded"
      readonly job: number
      readonly reason: "stop" | "length"
      readonly tokens: number
      readonly micros: number
      readonly logits: readonly string[]
      /** The token that each of the logits gave. */
      readonly drawn: readonly number[]
      readonly counters: EngineCounters
    }
  | { readonly type: "failed"; readonly job: number; readonly error: KvErrorRecord }
  | { readonly type: "cancelled"; readonly job: number }

/** How an engine thread is started. */
export interface EngineStart {
  readonly source: ModelSource
}
