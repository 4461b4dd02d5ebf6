import assert from "node:assert/strict"
import { test } from "node:test"
import { runCampaign } from "./campaign.ts"
import { allTransitions, Coverage, neverTaken } from "./coverage.ts"
import { violationText } from "./promise-broken.ts"
import { playSchedule } from "./schedule.ts"

/** A few seconds of one core. `npm run sim` plays more. */
const budget = { fixed: 90, fresh: 30 } as const

test("two runs of one seed are the same to the last line", async () => {
  for (const seed of [1, 7, 2 ** 40 + 3]) {
    const [first, second] = [await playSchedule({ seed }), await playSchedule({ seed })]
    assert.ok(first.journal.length > 20)
    assert.deepEqual(second.journal, first.journal)
    assert.equal(second.hash, first.hash)
    assert.equal(second.virtualMillis, first.virtualMillis)
    assert.deepEqual(second.coverage, first.coverage)
  }
  assert.notEqual((await playSchedule({ seed: 1 })).hash, (await playSchedule({ seed: 2 })).hash)
})

test("threads play the same schedules as this one", async () => {
  const range = { first: 30, count: 12 }
  const totals = await runCampaign(range, 2, {}, () => {})
  const here = new Coverage()
  let actions = 0
  for (let seed = range.first; seed < range.first + range.count; seed++) {
    const result = await playSchedule({ seed })
    actions += result.actions
    here.add(result.coverage)
  }
  assert.equal(totals.actions, actions)
  const taken = (coverage: Coverage): [string, number][] =>
    allTransitions.map((name) => [
      name,
      Object.values(coverage.counts[name] ?? {}).reduce((sum, count) => sum + count, 0),
    ])
  assert.deepEqual(taken(totals.coverage), taken(here))
})

test("the promises hold in schedules of fixed seeds and of a fresh one", async (context) => {
  const coverage = new Coverage()
  const fresh = Math.floor(Math.random() * 2 ** 40)
  context.diagnostic(`the fresh seeds begin at ${fresh}`)
  const seeds = [
    ...Array.from({ length: budget.fixed }, (_, i) => 1 + i),
    ...Array.from({ length: budget.fresh }, (_, i) => fresh + i),
  ]
  for (const seed of seeds) {
    const result = await playSchedule({ seed })
    coverage.add(result.coverage)
    const broken = result.violations.map(violationText).join("\n")
    assert.equal(broken, "", `replay: npm run sim -- --seed ${seed} --schedules 1`)
  }
  assert.deepEqual(coverage.surprising, [], "said to be impossible, and taken")
  // The rest is rare; a run of thousands must take every one, and fails when it does not.
  const wanted = allTransitions.length - Object.keys(neverTaken).length
  const taken = wanted - coverage.missing.length
  context.diagnostic(`${taken} of ${wanted} transitions; not ${coverage.missing.join(", ")}`)
  assert.ok(taken > 0.8 * wanted, `only ${taken} of ${wanted} transitions were taken`)
})
