/**
 * The entry of an engine's thread: it loads the model, waits for its cache, then runs the jobs it is given in turns.
 *
 * Each turn is one slice of one job, so that requests share the engine, and a cancel is heard between two slices.
 */
import { setImmediate as turn } from "node:timers/promises"
import { parentPort, workerData } from "node:worker_threads"
import { openLlama } from "../../engine/llama/open-llama.ts"
import { randomLlama } from "../../engine/llama/random-llama.ts"
import { readLlama } from "../../engine/llama/read-llama.ts"
import { asKvError } from "../../errors/kv-error.ts"
import { cacheOf } from "../../memory/kv-pool.ts"
import { adoptSpan } from "../../os/memory-span.ts"
import { RunningDecode, type RunningJob, RunningPrefill } from "./jobs.ts"
import type { EngineCommand, EngineEvent, EngineStart, ModelSource } from "./messages.ts"

if (parentPort === null) throw new Error("an engine runs as a worker thread")
const port = parentPort
const emit = (event: EngineEvent): void => port.postMessage(event)

try {
  const model = load((workerData as EngineStart).source)
  port.once("message", (command: EngineCommand) => {
    try {
      if (command.type === "open") serve(model, command)
    } catch (thrown) {
      emit({
        type: "broken",
        error: asKvError(thrown, "KV_INTERNAL", "the engine could not be opened").toJSON(),
      })
      port.close()
    }
  })
  emit({ type: "loaded", model: model.info })
} catch (thrown) {
  emit({
    type: "broken",
    error: asKvError(thrown, "KV_MODEL_INVALID", "the model could not be loaded").toJSON(),
  })
}

function load(source: ModelSource): ReturnType<typeof readLlama> {
  if (source.kind === "random") return randomLlama({ seed: source.seed })
  const { directory, contextTokens } = source
  return readLlama(directory, contextTokens === undefined ? {} : { contextTokens })
}

function serve(model: ReturnType<typeof readLlama>, open: Extract<EngineCommand, { type: "open" }>): void {
  const engine = openLlama(model, cacheOf(open.layout, open.spans.map(adoptSpan)))
  const jobs = new Map<number, RunningJob>()
  let running = false
  port.on("message", (command: EngineCommand) => {
    if (command.type === "prefill") {
      jobs.set(command.job, new RunningPrefill(engine, command.job, command.prefill, emit))
    } else if (command.type === "decode") {
      jobs.set(command.job, new RunningDecode(engine, command.job, command.decode, emit))
    } else if (command.type === "cancel") {
      if (jobs.delete(command.job)) emit({ type: "cancelled", job: command.job })
    } else if (command.type === "stop") {
      jobs.clear()
      port.close()
    }
    if (!running) void run()
  })
  emit({ type: "ready" })

  async function run(): Promise<void> {
    running = true
    while (jobs.size > 0) {
      for (const [job, work] of [...jobs]) {
        if (!jobs.has(job)) continue
        try {
          if (!work.slice()) jobs.delete(job)
        } catch (thrown) {
          jobs.delete(job)
          emit({ type: "failed", job, error: asKvError(thrown, "KV_INTERNAL", "the engine failed").toJSON() })
        }
        await turn()
      }
    }
    running = false
  }
}
