import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { allCases } from "../cases/all-cases.ts"
import { caseId } from "../cases/case.ts"
import { chooseCases } from "./choose-cases.ts"

const chosen = (...patterns: string[]): string[] => chooseCases(undefined, patterns).map(caseId)
const ids = allCases.map(caseId)

test("a pattern is the whole id, and * stands for anything", () => {
  assert.deepEqual(chosen("shapes/counts-read"), ["shapes/counts-read"])
  assert.deepEqual(chosen("*"), ids)
  assert.deepEqual(chosen("**"), ids)
  assert.deepEqual(
    chosen("shapes/*-read"),
    ids.filter((id) => /^shapes\/.*-read$/.test(id)),
  )
  assert.deepEqual(
    chosen("*killed*read"),
    ids.filter((id) => /killed.*read$/.test(id)),
  )
  assert.deepEqual(
    chosen("faults/*", "order/*"),
    ids.filter((id) => /^(faults|order)\//.test(id)),
  )
})

test("a pattern that fits nothing is refused, also beside one that fits", () => {
  for (const pattern of [
    "",
    "shapes",
    "counts-read",
    "shapes/counts-read*counts-read",
    "[",
    ".*",
    "shapes/.ounts-read",
  ])
    assert.throws(
      () => chosen("shapes/counts-read", pattern),
      (error) => error instanceof KvError && error.what === `no case fits ${JSON.stringify(pattern)}`,
    )
  assert.throws(() => chooseCases(["order"], ["shapes/*"]), /no case of order fits "shapes\/\*"/)
})

test("no pattern keeps the machine busy", () => {
  const started = performance.now()
  assert.throws(() => chosen(`${"*a".repeat(2000)}*x`), /no case fits/)
  assert.throws(() => chosen(`(a+)+$${"*".repeat(2000)}x`), /no case fits/)
  // A regular expression of these takes longer than the universe.
  assert.ok(performance.now() - started < 5000)
})
