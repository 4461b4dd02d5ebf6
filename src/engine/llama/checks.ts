import { KvError } from "../../errors/kv-error.ts"
import type { KvCache, KvSequence } from "../../kv/kv-cache.ts"
import { blocksFor, checkedLayout, type KvLayout, layerBytes } from "../../kv/kv-layout.ts"
import type { ModelInfo } from "../engine.ts"

/** @throws KvError KV_PLAN_IMPOSSIBLE when `cache` is not a whole fp32 cache for `model`. */
export function checkCache(model: ModelInfo, { layout, layers }: KvCache): void {
  checkedLayout(layout)
  const floats = layerBytes(layout) / 4
  const wrong =
    mismatch("layers", layout.shape.layers, model.shape.layers) ??
    mismatch("key/value heads", layout.shape.kvHeads, model.shape.kvHeads) ??
    mismatch("numbers per head", layout.shape.headDim, model.shape.headDim) ??
    mismatch("bytes per number", layout.shape.elementBytes, model.shape.elementBytes) ??
    mismatch("heads on this side", layout.heads, model.shape.kvHeads) ??
    mismatch("layer regions", layers.length, model.shape.layers) ??
    layers.map((layer, index) => mismatch(`numbers in layer ${index}`, layer.length, floats)).find(Boolean)
  if (wrong === undefined) return
  throw new KvError("KV_PLAN_IMPOSSIBLE", {
    what: `this cache does not fit model ${model.name}: ${wrong}`,
    next: "make the cache with the model's own shape",
  })
}

/**
 * Checks a call before anything is computed: the tokens, the room left, and the block table.
 * @throws KvError KV_PROMPT_INVALID, KV_PROMPT_TOO_LONG or KV_REGION_BOUNDS
 */
export type CheckCall = (tokens: ArrayLike<number>, past: KvSequence) => void

/** Prepares the checks of all calls over one cache. */
export function openChecks(model: ModelInfo, layout: KvLayout): CheckCall {
  // The call and the position that named each block last, so that no call has to clear the notes of another.
  const calls = new Float64Array(layout.blocks)
  const positions = new Uint32Array(layout.blocks)
  let call = 0
  return (tokens, past) => {
    checkTokens(model, tokens)
    const needed = blocksNeeded(model, layout, past, tokens.length)
    call += 1
    for (let position = 0; position < needed; position++) {
      const block = past.blocks[position]!
      if (block >= layout.blocks) {
        throw bounds(
          `block ${block} at position ${position} of the table; the cache has 0 to ${layout.blocks - 1}`,
        )
      }
      if (calls[block] === call) {
        throw bounds(`block ${block} stands at positions ${positions[block]} and ${position} of the table`)
      }
      calls[block] = call
      positions[block] = position
    }
  }
}

function checkTokens(model: ModelInfo, tokens: ArrayLike<number>): void {
  if (tokens.length === 0) {
    throw new KvError("KV_PROMPT_INVALID", {
      what: "the prompt has no tokens",
      next: "send at least one token",
    })
  }
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index]!
    if (Number.isInteger(token) && token >= 0 && token < model.vocabSize) continue
    throw new KvError("KV_PROMPT_INVALID", {
      what: `token ${index} is ${token}; ${model.name} knows 0 to ${model.vocabSize - 1}`,
      next: "encode the prompt with the model's own tokenizer",
    })
  }
}

function blocksNeeded(model: ModelInfo, { blockTokens }: KvLayout, past: KvSequence, more: number): number {
  if (!Number.isSafeInteger(past.tokens) || past.tokens < 0) {
    throw bounds(`the sequence says it holds ${past.tokens} tokens`)
  }
  const total = past.tokens + more
  if (total > model.contextTokens) {
    throw new KvError("KV_PROMPT_TOO_LONG", {
      what: `${past.tokens} tokens and ${more} more are ${total}; ${model.name} holds ${model.contextTokens}`,
      next: "shorten the prompt or ask for fewer tokens",
    })
  }
  const needed = blocksFor(total, blockTokens)
  if (past.blocks.length < needed) {
    throw bounds(
      `${total} tokens need ${needed} blocks of ${blockTokens}; the sequence has ${past.blocks.length}`,
    )
  }
  return needed
}

function mismatch(name: string, found: number, expected: number): string | undefined {
  return found === expected ? undefined : `${name} are ${found}, the model has ${expected}`
}

function bounds(what: string): KvError {
  return new KvError("KV_REGION_BOUNDS", { what, next: "this is a mistake of the caller; please report it" })
}
