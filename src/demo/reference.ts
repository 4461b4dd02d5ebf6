import type { EngineCounters } from "../engine/engine.ts"
import { blocksFor, type KvLayout, wholeModelLayout } from "../kv/kv-layout.ts"
import { KvPool } from "../memory/kv-pool.ts"
import { hostMemory } from "../os/host-memory.ts"
import { EngineThread } from "../serve/engine-thread/engine-thread.ts"
import type { ModelSource } from "../serve/engine-thread/messages.ts"
import type { Evidence, Sampling } from "../serve/protocol.ts"
import { evidenceOf } from "../serve/worker/evidence.ts"
import type { DemoPrompt } from "./prompts.ts"

/** What a run in one process gives: the evidence of both halves. */
export interface Reference {
  readonly prefill: Evidence
  readonly decode: Evidence
}

/** The same model in this process alone: no agent, no transport, one pool for prompt and answer. */
export class ReferenceRunner implements AsyncDisposable {
  readonly #engine: EngineThread
  readonly #pool: KvPool

  private constructor(engine: EngineThread, pool: KvPool) {
    this.#engine = engine
    this.#pool = pool
  }

  /** @throws KvError KV_MODEL_INVALID, KV_OS. */
  static async open(source: ModelSource, blockTokens: number): Promise<ReferenceRunner> {
    const engine = await EngineThread.load(source)
    const { shape, contextTokens } = engine.model
    const layout = wholeModelLayout(shape, { blocks: blocksFor(contextTokens, blockTokens), blockTokens })
    const pool = new KvPool(layout, hostMemory)
    await engine.open(layout, pool.spans)
    return new ReferenceRunner(engine, pool)
  }

  get counters(): Readonly<EngineCounters> {
    return this.#engine.counters
  }

  get layout(): KvLayout {
    return this.#pool.layout
  }

  /** Computes prompt and answer, with the sampling that the served request had. */
  async run(prompt: DemoPrompt, sampling: Sampling): Promise<Reference> {
    const tokens = Uint32Array.from(prompt.tokens)
    const stored = tokens.length + prompt.maxTokens - 1
    const blocks = this.#pool.allocator.allocate(blocksFor(stored, this.#pool.layout.blockTokens))
    try {
      const prefilled = await this.#engine.prefill({ tokens, blocks, sampling, evidence: true })
      const sequence = { layout: this.#pool.layout, spans: this.#pool.spans, blocks, tokens: tokens.length }
      const prefill = evidenceOf(sequence, prefilled)
      const decoded = await this.#engine.decode(
        {
          promptTokens: tokens.length,
          blocks,
          firstToken: prefilled.token,
          maxTokens: prompt.maxTokens,
          sampling,
          ignoreEnd: false,
          evidence: true,
        },
        () => {},
      )
      return { prefill, decode: { ...prefill, logits: [...decoded.logits], tokens: [...decoded.drawn] } }
    } finally {
      this.#pool.allocator.release(blocks)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]()
    this.#pool[Symbol.dispose]()
  }
}
