import type { KvSequence } from "../kv/kv-cache.ts"
import type { KvShape } from "../kv/kv-layout.ts"

/** What the rest of the system must know of a loaded model. */
export interface ModelInfo {
  /** The name it is served under: the folder's name unless told otherwise. */
  readonly name: string
  readonly shape: KvShape
  readonly vocabSize: number
  /** Most tokens (prompt and answer together) that a sequence can hold. */
  readonly contextTokens: number
  /** Tokens that end an answer. */
  readonly endTokens: readonly number[]
  /** Hash over configuration and weights: two workers with different values must not exchange caches. */
  readonly fingerprint: string
}

/** What an engine has computed since it was loaded; a decode worker's `promptTokens` stays 0. */
export interface EngineCounters {
  promptTokens: number
  decodeTokens: number
}

/** How a prefill can be watched and stopped. */
export interface PrefillOptions {
  /**
   * Called between chunks, so not after the last one, with the tokens done so far. Returning false stops the prefill:
   * it then returns undefined, and `past` keeps what was done and can be continued.
   */
  readonly onProgress?: (tokensDone: number) => boolean
}

/** Runs the second half of a request: one token in, the next token's logits out. */
export interface DecodeEngine {
  readonly model: ModelInfo
  readonly counters: Readonly<EngineCounters>
  /**
   * Computes one token at position `past.tokens`, stores its keys and values, and moves `past.tokens` forward by one.
   * @returns `vocabSize` logits (fp32), valid until the next call.
   * @throws KvError KV_PROMPT_INVALID for a token outside the vocabulary, KV_PROMPT_TOO_LONG beyond the context,
   * KV_REGION_BOUNDS for too few blocks or an impossible block table. Nothing has changed then.
   */
  decodeStep(token: number, past: KvSequence): Float32Array
  /** Ends a sequence: `past.tokens` becomes 0. Its blocks belong to the caller. */
  release(past: KvSequence): void
}

/**
 * A model runner over a paged cache that its caller owns.
 *
 * The sums of every kernel run in one order, whatever the number of tokens in a call: a prompt computed whole,
 * in chunks, or token by token gives the same bits, and so does its continuation in another process.
 */
export interface Engine extends DecodeEngine {
  /**
   * Computes `tokens` behind what `past` already holds, stores their keys and values in `past.blocks`,
   * and moves `past.tokens` forward.
   * @returns `vocabSize` logits (fp32) of the last token, valid until the next call; undefined when stopped.
   * @throws KvError as `decodeStep`.
   */
  prefill(tokens: Uint32Array, past: KvSequence, options?: PrefillOptions): Float32Array | undefined
}
