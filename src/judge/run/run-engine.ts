import { caseId, type JudgeCase } from "../cases/case.ts"
import { NotSupported } from "../cases/case-failed.ts"
import type { Effort } from "../cases/world.ts"
import { DriverFailed } from "../driver/driver-failed.ts"
import type { EngineCommand } from "../engines/engine-command.ts"
import type { CaseResult, EngineResult } from "../verify-document.ts"
import type { WrongBlock } from "../wrong-block.ts"
import { findingOf, Stage } from "./stage.ts"

export interface EngineRunOptions {
  readonly cases: readonly JudgeCase[]
  readonly seed: number
  readonly effort: Effort
  /** Stop at the first case that fails. */
  readonly failFast: boolean
  /** Run all cases also where the first ones have all failed with wrong bytes. */
  readonly all: boolean
  readonly signal: AbortSignal
  /** Before each case. */
  began?(one: JudgeCase, index: number): void
  ended?(result: CaseResult): void
  /** The bytes of the first wrong block of a case. */
  wrong?(id: string, block: WrongBlock): void
}

/** A case that takes longer is a hang, whatever it waits for, unless its drivers go on answering: a busy machine is slow. */
const caseMillis = { quick: 60_000, default: 90_000, long: 900_000 } as const
/** A driver that has answered since then is none that hangs. Each question has a time limit of its own. */
const answerMillis = 15_000
/** So many times its time a case may take all the same. */
const patience = 4

/** As many that fail with wrong bytes, and none that passes, are a verdict: the others would say the same. */
const plainAfter = 8

/** Puts one engine through cases, one after the other; stops early when it is told to, or when all is plain. */
export async function runEngine(engine: EngineCommand, options: EngineRunOptions): Promise<EngineResult> {
  const results: CaseResult[] = []
  let stopped: string | undefined
  await using stage = new Stage(engine, options)
  const interrupted = (): void => void stage.clear()
  options.signal.addEventListener("abort", interrupted)
  try {
    let suite: string | undefined
    for (const [index, one] of options.cases.entries()) {
      if (options.signal.aborted) break
      if (suite !== undefined && suite !== one.suite) await stage.clear()
      suite = one.suite
      options.began?.(one, index)
      const result = await runCase(stage, one, options)
      if (options.signal.aborted) break
      results.push(result)
      options.ended?.(result)
      stopped = index === options.cases.length - 1 ? undefined : reasonToStop(results, options)
      if (stopped !== undefined) break
    }
  } finally {
    options.signal.removeEventListener("abort", interrupted)
  }
  const { opened } = stage
  return {
    engine: engine.spec.name,
    about: opened?.about ?? engine.about,
    ...(opened === undefined ? {} : { version: opened.version, libraries: opened.libraries }),
    ...(stopped === undefined ? {} : { stopped }),
    cases: results,
  }
}

/** Why an engine cannot be judged here at all; undefined when it can. */
export async function whyUnavailable(
  engine: EngineCommand,
  options: Pick<EngineRunOptions, "effort" | "seed">,
): Promise<string | undefined> {
  await using stage = new Stage(engine, options)
  try {
    await stage.probe()
    return undefined
  } catch (thrown) {
    if (!(thrown instanceof DriverFailed)) throw thrown
    const lastLine = thrown.log.trimEnd().split("\n").at(-1) ?? ""
    return `${thrown.code}: ${thrown.text}${lastLine === "" ? "" : ` (${lastLine})`}`
  }
}

function reasonToStop(
  results: readonly CaseResult[],
  { failFast, all }: EngineRunOptions,
): string | undefined {
  if (failFast && results.at(-1)?.verdict === "failed")
    return "a case has failed, and no more was wanted (--fail-fast)"
  const judged = results.filter(({ verdict }) => verdict !== "not supported")
  const wrong = judged.filter(({ finding }) => finding?.kind === "wrong-bytes")
  if (all || wrong.length < plainAfter || judged.some(({ verdict }) => verdict === "passed")) return undefined
  const causes = wrong.map(({ finding }) => finding?.cause ?? "unknown")
  const count = (cause: string): number => causes.filter((other) => other === cause).length
  const [most] = [...new Set(causes)].sort((one, other) => count(other) - count(one))
  const some = wrong.length === judged.length ? "" : `, ${wrong.length} of them`
  return `the first ${judged.length} cases have all failed${some} with wrong bytes (${most} in ${count(most!)}); --all runs the others`
}

async function runCase(stage: Stage, one: JudgeCase, options: EngineRunOptions): Promise<CaseResult> {
  const began = performance.now()
  const outcome = await outcomeOf(stage, one, options)
  return {
    id: caseId(one),
    suite: one.suite,
    title: one.title,
    ...outcome,
    millis: Math.round(performance.now() - began),
    bytesChecked: stage.takeBytesChecked(),
  }
}

async function outcomeOf(
  stage: Stage,
  one: JudgeCase,
  { effort, wrong }: EngineRunOptions,
): Promise<Pick<CaseResult, "verdict" | "why" | "finding">> {
  try {
    await inTime(stage, stage.run(one), caseMillis[effort])
    return { verdict: "passed" }
  } catch (thrown) {
    if (thrown instanceof NotSupported) return { verdict: "not supported", why: thrown.message }
    const { finding, wrongBlock } = findingOf(thrown)
    if (wrongBlock !== undefined) wrong?.(caseId(one), wrongBlock)
    return { verdict: "failed", finding }
  }
}

/** Ends the processes of a case that takes too long; what it waits for fails then. */
async function inTime(stage: Stage, running: Promise<void>, millis: number): Promise<void> {
  const began = performance.now()
  let late = false
  let timer: NodeJS.Timeout
  const look = (): void => {
    const quiet = performance.now() - stage.answeredAt
    if (quiet < answerMillis && performance.now() - began < patience * millis) {
      timer = setTimeout(look, answerMillis - quiet)
      return
    }
    late = true
    void stage.clear()
  }
  timer = setTimeout(look, millis)
  try {
    await running
  } catch (thrown) {
    if (!late) throw thrown
    const text = `the case has not ended within ${Math.round(performance.now() - began)} ms`
    throw new DriverFailed("hang", {
      code: "hang",
      text,
      log: thrown instanceof DriverFailed ? thrown.log : "",
    })
  } finally {
    clearTimeout(timer)
  }
}
