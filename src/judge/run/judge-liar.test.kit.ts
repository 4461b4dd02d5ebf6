import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { allCases } from "../cases/all-cases.ts"
import { caseId } from "../cases/case.ts"
import type { EngineCommand } from "../engines/engine-command.ts"
import type { EngineResult } from "../verify-document.ts"
import { lies } from "./lies.test.kit.ts"
import { runEngine } from "./run-engine.ts"

/** Liars that are killed leave their files: they go when the tests have ended. */
const folder = mkdtempSync(join(tmpdir(), "kvferry-liars-"))
process.once("exit", () => rmSync(folder, { recursive: true, force: true }))

/** An engine that tells one lie, or none. */
export function liar(lie: string): EngineCommand {
  const file = fileURLToPath(new URL("./liar.test.kit.js", import.meta.url))
  return {
    spec: { name: `liar:${lie}`, family: "kvferry", path: "files" },
    command: process.execPath,
    args: [file, lie],
    env: { TMPDIR: folder },
    about: `a liar (${lie})`,
  }
}

/** Judges it with the cases of these ids; all when there are none. */
export async function judgeLiar(lie: string, ids?: readonly string[]): Promise<EngineResult> {
  const cases = allCases.filter((one) => ids === undefined || ids.includes(caseId(one)))
  return await runEngine(liar(lie), {
    cases,
    seed: 42,
    effort: "quick",
    failFast: false,
    all: true,
    signal: new AbortController().signal,
  })
}

/** Tells each lie of a third of the list, and holds the judge to its conviction. */
export function testLies(part: 0 | 1 | 2): void {
  for (const { name, cases, cause } of lies.filter((_, i) => i % 3 === part)) {
    test(`convicts: ${name}`, async () => {
      const result = await judgeLiar(name, cases)
      assert.deepEqual(
        result.cases.map(({ id }) => id).toSorted(),
        [...cases].toSorted(),
        "a case of this name is not there",
      )
      for (const { id, verdict, finding, why } of result.cases) {
        assert.equal(verdict, "failed", `${id} did not notice: ${why ?? ""}`)
        if (cause !== undefined) assert.equal(finding?.cause, cause, `${id}: ${finding?.text}`)
        assert.ok((finding?.text.length ?? 0) > 30, `${id} says only ${finding?.text}`)
      }
    })
  }
}
