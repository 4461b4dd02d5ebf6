import { machineFacts } from "../../bench/machine.ts"
import { softwareVersion } from "../../serve/version.ts"
import { caseId, type JudgeCase } from "../cases/case.ts"
import type { Effort } from "../cases/world.ts"
import type { EngineSpec } from "../engine-spec.ts"
import { engineCommand } from "../engines/engine-command.ts"
import { type CaseResult, type EngineResult, type VerifyDocument, verdictOf } from "../verify-document.ts"
import type { WrongBlock } from "../wrong-block.ts"
import { runEngine, whyUnavailable } from "./run-engine.ts"

export interface VerifyOptions {
  readonly engines: readonly EngineSpec[]
  /** False when the engines are only those that we thought of: one that is not open here is then left out. */
  readonly asked: boolean
  readonly cases: readonly JudgeCase[]
  readonly seed: number
  readonly effort: Effort
  readonly failFast: boolean
  readonly all: boolean
  readonly signal: AbortSignal
}

/** Who wants to know what happens meanwhile. */
export interface VerifyWatcher {
  /** A case begins: the engine's and its own index, from 0. */
  began(engine: string, one: JudgeCase, done: number, total: number): void
  ended(engine: string, result: CaseResult): void
  /** The bytes of a wrong block. */
  wrong(engine: string, id: string, block: WrongBlock): void
  /** An engine that was not asked for by name and does not run here. */
  leftOut(engine: string, why: string): void
}

/** Judges one engine after the other. An interruption ends it early, with what there is. */
export async function runVerify(options: VerifyOptions, watcher: VerifyWatcher): Promise<VerifyDocument> {
  const startedAt = new Date()
  const engines: EngineResult[] = []
  for (const [index, spec] of options.engines.entries()) {
    if (options.signal.aborted) break
    const result = await judge(spec, index, options, watcher)
    if (result !== undefined) engines.push(result)
    if (options.failFast && result?.cases.some(({ verdict }) => verdict === "failed") === true) break
  }
  const interrupted = options.signal.aborted
  return {
    schema: "kvferry/verify/1",
    software: softwareVersion(),
    startedAt: startedAt.toISOString(),
    tookMillis: Date.now() - startedAt.getTime(),
    seed: options.seed,
    machine: machineFacts(),
    evidence: "lab",
    interrupted,
    engines,
    verdict: verdictOf({ engines, interrupted }),
  }
}

async function judge(
  spec: EngineSpec,
  index: number,
  options: VerifyOptions,
  watcher: VerifyWatcher,
): Promise<EngineResult | undefined> {
  const { cases } = options
  const command = await engineCommand(spec)
  const unavailable = "unavailable" in command ? command.unavailable : await whyUnavailable(command, options)
  if (options.signal.aborted) return undefined
  if ("unavailable" in command || unavailable !== undefined) {
    if (options.asked) return notHere(spec, unavailable!, cases)
    watcher.leftOut(spec.name, unavailable!)
    return undefined
  }
  return await runEngine(command, {
    ...options,
    began: (one, done) =>
      watcher.began(spec.name, one, index * cases.length + done, options.engines.length * cases.length),
    ended: (result) => watcher.ended(spec.name, result),
    wrong: (id, block) => watcher.wrong(spec.name, id, block),
  })
}

function notHere({ name }: EngineSpec, unavailable: string, cases: readonly JudgeCase[]): EngineResult {
  return {
    engine: name,
    unavailable,
    cases: cases.map((one) => ({
      id: caseId(one),
      suite: one.suite,
      title: one.title,
      verdict: "not supported",
      why: `the engine does not run here: ${unavailable}`,
      millis: 0,
      bytesChecked: 0,
    })),
  }
}

/** What a process ends with: 0 all asked cases passed, 1 something failed, 3 an engine does not run here, or supports none of the cases, 130 interrupted. */
export function exitCodeOf({ interrupted, verdict }: VerifyDocument): 0 | 1 | 3 | 130 {
  if (interrupted) return 130
  if (verdict === "failed") return 1
  return verdict === "passed" ? 0 : 3
}
