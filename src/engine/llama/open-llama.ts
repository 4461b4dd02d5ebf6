import type { KvCache } from "../../kv/kv-cache.ts"
import type { Engine, EngineCounters } from "../engine.ts"
import { checkCache, openChecks } from "./checks.ts"
import { chunkTokens, openDecoder } from "./decoder.ts"
import type { LlamaModel } from "./weights.ts"

/**
 * Opens an engine for `model` over `cache`, which its caller owns and keeps mapped.
 *
 * The engine holds its own copy of the linear layers, laid out for its kernels. Its calls are synchronous and not
 * reentrant: one engine per thread. Every call checks all its arguments first; a refused call changed nothing.
 * @throws KvError KV_PLAN_IMPOSSIBLE when the cache has another shape, KV_MODEL_INVALID beyond 4 GiB of memory,
 * KV_OS when the system has no such memory; its calls throw KV_PROMPT_INVALID, KV_PROMPT_TOO_LONG and KV_REGION_BOUNDS.
 */
export function openLlama(model: LlamaModel, cache: KvCache): Engine {
  checkCache(model.info, cache)
  const decoder = openDecoder(model, cache)
  const counters: EngineCounters = { promptTokens: 0, decodeTokens: 0 }
  const check = openChecks(model.info, cache.layout)
  const single = [0]
  return {
    model: model.info,
    counters,
    prefill: (tokens, past, options) => {
      check(tokens, past)
      for (let done = 0; ; ) {
        const rows = Math.min(chunkTokens, tokens.length - done)
        decoder.forward(tokens, done, rows, past.blocks, past.tokens)
        past.tokens += rows
        counters.promptTokens += rows
        done += rows
        if (done === tokens.length) return decoder.logits(rows - 1)
        if (options?.onProgress?.(done) === false) return undefined
      }
    },
    decodeStep: (token, past) => {
      single[0] = token
      check(single, past)
      decoder.forward(single, 0, 1, past.blocks, past.tokens)
      past.tokens += 1
      counters.decodeTokens += 1
      return decoder.logits(0)
    },
    release: (past) => {
      past.tokens = 0
    },
  }
}
