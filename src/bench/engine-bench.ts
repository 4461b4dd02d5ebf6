import { setImmediate as turn } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import type { Engine } from "../engine/engine.ts"
import { openLlama } from "../engine/llama/open-llama.ts"
import { readLlama } from "../engine/llama/read-llama.ts"
import type { KvSequence } from "../kv/kv-cache.ts"
import { blocksFor, wholeModelLayout } from "../kv/kv-layout.ts"
import { cacheOf, KvPool } from "../memory/kv-pool.ts"
import { hostMemory } from "../os/host-memory.ts"
import type { Progress } from "../terminal/progress.ts"
import { throwIfInterrupted } from "./interrupted.ts"
import { type Spread, spreadOf } from "./statistics.ts"

/** The model that the package carries. */
const bundledModel = fileURLToPath(new URL("../../models/ferry-tiny", import.meta.url))
const blockTokens = 16
const decodeSteps = 16

/** How fast the engine is at one length of prompt or context. */
export interface EngineResult {
  readonly phase: "prefill" | "decode"
  /** Tokens of the prompt, or of the context before the first step. */
  readonly tokens: number
  readonly runs: number
  readonly tokensPerSecond: Spread
}

/** Speeds of the bundled model. */
export interface EngineBench {
  readonly model: string
  readonly results: readonly EngineResult[]
}

export interface EngineBenchOptions {
  readonly prompts: readonly number[]
  readonly contexts: readonly number[]
  readonly runs: number
  readonly progress: Progress
  readonly signal: AbortSignal
}

/** Measures prefill and decode in this thread, as a worker's engine thread runs them. */
export async function benchEngine(options: EngineBenchOptions): Promise<EngineBench> {
  options.progress.update("loading the model")
  const model = readLlama(bundledModel)
  const { shape, contextTokens, vocabSize, name } = model.info
  const layout = wholeModelLayout(shape, { blocks: blocksFor(contextTokens, blockTokens), blockTokens })
  using pool = new KvPool(layout, hostMemory)
  const engine = openLlama(model, cacheOf(layout, pool.spans))
  const past = { blocks: pool.allocator.allocate(layout.blocks), tokens: 0 }
  const tokens = Uint32Array.from({ length: contextTokens }, (_, i) => (i * 2_654_435_761) % vocabSize)
  const results: EngineResult[] = []
  for (const length of options.prompts) {
    const prompt = tokens.subarray(0, Math.min(length, contextTokens))
    results.push(await repeat("prefill", prompt.length, options, () => prefill(engine, past, prompt)))
  }
  for (const context of options.contexts) {
    const length = Math.min(context, contextTokens - decodeSteps)
    prefill(engine, past, tokens.subarray(0, length))
    results.push(await repeat("decode", length, options, () => decode(engine, past, length)))
  }
  return { model: name, results }
}

/** Runs `run` once to warm up and `runs` times to be counted. It returns tokens per second. */
async function repeat(
  phase: EngineResult["phase"],
  tokens: number,
  { runs, progress, signal }: EngineBenchOptions,
  run: () => number,
): Promise<EngineResult> {
  const speeds: number[] = []
  for (let i = -1; i < runs; i++) {
    await turn()
    throwIfInterrupted(signal)
    progress.update(`engine: ${phase}, ${tokens} tokens`, (i + 1) / (runs + 1))
    const speed = run()
    if (i >= 0) speeds.push(speed)
  }
  return { phase, tokens, runs, tokensPerSecond: spreadOf(speeds) }
}

function prefill(engine: Engine, past: KvSequence, prompt: Uint32Array): number {
  engine.release(past)
  const started = performance.now()
  engine.prefill(prompt, past)
  return (prompt.length * 1000) / (performance.now() - started)
}

function decode(engine: Engine, past: KvSequence, context: number): number {
  past.tokens = context
  const started = performance.now()
  for (let step = 0; step < decodeSteps; step++) engine.decodeStep(step, past)
  return (decodeSteps * 1000) / (performance.now() - started)
}
