import assert from "node:assert/strict"
import { test } from "node:test"
import { allCases } from "../cases/all-cases.ts"
import { caseId } from "../cases/case.ts"
import { judgeLiar } from "./judge-liar.test.kit.ts"
import { lies } from "./lies.test.kit.ts"

test("an engine that tells no lie passes every case", async () => {
  const { cases } = await judgeLiar("honest")
  assert.equal(cases.length, allCases.length)
  for (const { id, verdict, finding, why } of cases)
    assert.equal(verdict, "passed", `${id}: ${finding?.text ?? why}`)
})

test("every case is seen to convict a lie", () => {
  const convicting = new Set(lies.flatMap(({ cases }) => cases))
  const never = allCases.map(caseId).filter((id) => !convicting.has(id))
  assert.deepEqual(never, [])
})

test("ids are unique, and titles say what would be lost", () => {
  assert.equal(new Set(allCases.map(caseId)).size, allCases.length)
  for (const { title } of allCases) assert.match(title, /^[A-Z].{20,}\.$/)
})
