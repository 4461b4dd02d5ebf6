import { fileURLToPath } from "node:url"
import { allCases } from "../cases/all-cases.ts"
import { caseId } from "../cases/case.ts"
import type { EngineCommand } from "../engines/engine-command.ts"
import type { EngineResult } from "../verify-document.ts"
import { runEngine } from "./run-engine.ts"

/** An engine that tells one lie, or none. */
export function liar(lie: string): EngineCommand {
  const file = fileURLToPath(new URL("./liar.test.kit.js", import.meta.url))
  return {
    spec: { name: `liar:${lie}`, family: "kvferry" },
    command: process.execPath,
    args: [file, lie],
    env: {},
    about: `a liar (${lie})`,
  }
}

/** Judges it with the cases whose ids begin so. */
export async function judgeLiar(lie: string, ...ids: readonly string[]): Promise<EngineResult> {
  const cases = allCases.filter((one) => ids.some((id) => caseId(one).startsWith(id)))
  return await runEngine(liar(lie), {
    cases,
    seed: 42,
    effort: "quick",
    failFast: false,
    all: true,
    signal: new AbortController().signal,
  })
}
