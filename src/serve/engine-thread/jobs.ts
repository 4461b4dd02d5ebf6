import type { Engine } from "../../engine/engine.ts"
import { sampleToken } from "../../engine/sampler.ts"
import type { KvSequence } from "../../kv/kv-cache.ts"
import { fingerprintBytes, hashText } from "../../verify/fingerprint.ts"
import type { DecodeJob, EngineEvent, PrefillJob } from "./messages.ts"

/** Prompt tokens computed before other work gets a turn, and before a cancel is heard. */
const sliceTokens = 128

/** One request in the engine: `slice` does a little of it and says whether there is more. */
export interface RunningJob {
  slice(): boolean
}

/** Computes a prompt slice by slice; the engine's sums do not depend on where it is cut. */
export class RunningPrefill implements RunningJob {
  readonly #engine: Engine
  readonly #job: number
  readonly #prefill: PrefillJob
  readonly #emit: (event: EngineEvent) => void
  readonly #past: KvSequence
  readonly #startedAt = performance.now()

  constructor(engine: Engine, job: number, prefill: PrefillJob, emit: (event: EngineEvent) => void) {
    this.#engine = engine
    this.#job = job
    this.#prefill = prefill
    this.#emit = emit
    this.#past = { blocks: prefill.blocks, tokens: 0 }
  }

  slice(): boolean {
    const { tokens, sampling, evidence } = this.#prefill
    const from = this.#past.tokens
    const logits = this.#engine.prefill(tokens.subarray(from, from + sliceTokens), this.#past)!
    if (this.#past.tokens < tokens.length) return true
    const token = sampleToken(logits, sampling, 0)
    this.#emit({
      type: "prefilled",
      job: this.#job,
      token,
      micros: Math.round((performance.now() - this.#startedAt) * 1000),
      logits: evidence ? [logitsHash(logits)] : [],
      drawn: [token],
      counters: { ...this.#engine.counters },
    })
    return false
  }
}

/** Continues an answer one token a slice. It has no prompt: only its stored keys and values, and the first token. */
export class RunningDecode implements RunningJob {
  readonly #engine: Engine
  readonly #job: number
  readonly #decode: DecodeJob
  readonly #emit: (event: EngineEvent) => void
  readonly #past: KvSequence
  readonly #ends: ReadonlySet<number>
  readonly #logits: string[] = []
  readonly #drawn: number[] = []
  readonly #startedAt = performance.now()
  #token: number
  #emitted = 0

  constructor(engine: Engine, job: number, decode: DecodeJob, emit: (event: EngineEvent) => void) {
    this.#engine = engine
    this.#job = job
    this.#decode = decode
    this.#emit = emit
    this.#past = { blocks: decode.blocks, tokens: decode.promptTokens }
    this.#ends = new Set(decode.ignoreEnd ? [] : engine.model.endTokens)
    this.#token = decode.firstToken
  }

  slice(): boolean {
    if (this.#ends.has(this.#token)) return this.#end("stop")
    this.#emit({ type: "token", job: this.#job, index: this.#emitted, token: this.#token })
    this.#emitted += 1
    if (this.#emitted === this.#decode.maxTokens) return this.#end("length")
    const logits = this.#engine.decodeStep(this.#token, this.#past)
    if (this.#decode.evidence) this.#logits.push(logitsHash(logits))
    this.#token = sampleToken(logits, this.#decode.sampling, this.#emitted)
    if (this.#decode.evidence) this.#drawn.push(this.#token)
    return true
  }

  #end(reason: "stop" | "length"): false {
    this.#emit({
      type: "decoded",
      job: this.#job,
      reason,
      tokens: this.#emitted,
      micros: Math.round((performance.now() - this.#startedAt) * 1000),
      logits: this.#logits,
      drawn: this.#drawn,
      counters: { ...this.#engine.counters },
    })
    return false
  }
}

/** Hash over the bits of one step's logits. */
function logitsHash(logits: Float32Array): string {
  return hashText(fingerprintBytes(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength)))
}
