import { assert } from "../errors/assert.ts"
import { KvError } from "../errors/kv-error.ts"
import { threefry } from "./threefry.ts"

/** How the next token is drawn. */
export interface SamplingOptions {
  /** 0 takes the most likely token; 1 the model's own probabilities; more flattens them. */
  readonly temperature: number
  /** The most likely tokens that together reach this share are kept, the rest are never drawn: above 0, at most 1. */
  readonly topP: number
  /** A whole number within ±(2^53 - 1). The same seed, step and logits give the same token. */
  readonly seed: number
}

/** Returns `options` when they make sense. @throws KvError KV_REQUEST_INVALID naming the number that does not. */
export function checkedSampling(options: SamplingOptions): SamplingOptions {
  const { temperature, topP, seed } = options
  if (!Number.isFinite(temperature) || temperature < 0) {
    throw invalid(`temperature is ${temperature}`, "0 or more, most often 0 to 2")
  }
  if (!(topP > 0 && topP <= 1)) throw invalid(`top_p is ${topP}`, "above 0 and at most 1")
  if (!Number.isSafeInteger(seed)) throw invalid(`seed is ${seed}`, "a whole number within ±(2^53 - 1)")
  return options
}

/**
 * Draws the token that follows `logits`.
 *
 * A pure function: the randomness is keyed by `seed` and `step` (the number of tokens already drawn for this answer),
 * so a hand-over between two processes carries no state of a generator. The lowest id wins a tie.
 * @throws KvError KV_REQUEST_INVALID for impossible options, KV_MODEL_INVALID when a logit is not a finite number.
 */
export function sampleToken(logits: Float32Array, options: SamplingOptions, step: number): number {
  const { temperature, topP, seed } = checkedSampling(options)
  assert(Number.isSafeInteger(step) && step >= 0, `a step is a whole number, not ${step}`)
  const best = mostLikely(logits)
  if (temperature === 0) return best
  const weights = new Float64Array(logits.length)
  let total = 0
  for (let token = 0; token < logits.length; token++) {
    const weight = Math.exp((logits[token]! - logits[best]!) / temperature)
    weights[token] = weight
    total += weight
  }
  const share = uniform(seed, step)
  return topP === 1 ? drawn(weights, undefined, share * total) : drawnFromNucleus(weights, total, topP, share)
}

/**
 * A number from 0 up to but not including 1, evenly spread over multiples of 2^-53.
 * Every pair of seed and step gives its own.
 */
export function uniform(seed: number, step: number): number {
  const [high, low] = threefry(words(seed), words(step))
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53
}

/** The two 32-bit halves of a safe integer, negative ones in two's complement. */
function words(value: number): [number, number] {
  return [value | 0, Math.floor(value / 2 ** 32) | 0]
}

function mostLikely(logits: Float32Array): number {
  let best = 0
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!
    if (!Number.isFinite(logit)) throw notFinite(logits, token)
    if (logit > logits[best]!) best = token
  }
  assert(logits.length > 0, "there is at least one logit")
  return best
}

/** The token whose share of the weights, laid end to end in the order of `tokens`, holds the point `place`. */
function drawn(weights: Float64Array, tokens: readonly number[] | undefined, place: number): number {
  const count = tokens?.length ?? weights.length
  let end = 0
  let last = 0
  for (let index = 0; index < count; index++) {
    const token = tokens?.[index] ?? index
    const weight = weights[token]!
    if (weight === 0) continue
    end += weight
    last = token
    if (place < end) return token
  }
  // Only rounding can lead here: the point lies a hair behind the last token that can be drawn.
  return last
}

function drawnFromNucleus(weights: Float64Array, total: number, topP: number, share: number): number {
  // Tokens below this share cannot fill the rest even all together, so the nucleus needs none of them.
  const least = ((1 - topP) * total) / weights.length
  const candidates: number[] = []
  for (let token = 0; token < weights.length; token++) {
    if (weights[token]! >= least) candidates.push(token)
  }
  candidates.sort((a, b) => weights[b]! - weights[a]! || a - b)
  let kept = 0
  let count = 0
  while (count < candidates.length && kept < topP * total) kept += weights[candidates[count++]!]!
  return drawn(weights, candidates.slice(0, count), share * kept)
}

function notFinite(logits: Float32Array, token: number): KvError {
  const count = logits.reduce((sum, logit) => sum + (Number.isFinite(logit) ? 0 : 1), 0)
  return new KvError("KV_MODEL_INVALID", {
    what: `${count} of ${logits.length} logits are not finite numbers; that of token ${token} is ${logits[token]}`,
    next: "verify the weights of the model and the bytes of the cache: one of them is damaged",
  })
}

function invalid(what: string, needed: string): KvError {
  return new KvError("KV_REQUEST_INVALID", { what: `${what}; it must be ${needed}` })
}
