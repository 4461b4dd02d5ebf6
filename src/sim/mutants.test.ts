import assert from "node:assert/strict"
import { test } from "node:test"
import { convict } from "./mutants.ts"
import { mutations } from "./mutations.ts"

/** Schedules in which these must be noticed; most are within ten. The slow ones are the command's. */
const schedules = 150

for (const mutation of mutations.filter(({ slow }) => slow !== true)) {
  test(`convicted: ${mutation.name}`, async (context) => {
    const found = await convict(mutation, { first: 1, count: schedules })
    assert.ok(found !== undefined, `nothing of the kind was noticed in ${schedules} schedules`)
    context.diagnostic(`schedule ${found.seed}: ${found.text}`)
  })
}

test("a patch that fits nowhere is a mistake, not a pass", async () => {
  const patches = [{ file: "agent/pull.js", find: "this is not there", put: "" }]
  const mutation = { name: "none", patches, convicts: /./ }
  await assert.rejects(convict(mutation, { first: 1, count: 1 }), /stands 0 times in agent\/pull.js/)
})

test("an agent that is whole is not convicted", async () => {
  assert.equal(await convict({ name: "none", convicts: /./ }, { first: 1, count: 20 }), undefined)
})
