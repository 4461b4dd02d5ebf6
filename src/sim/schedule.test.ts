import assert from "node:assert/strict"
import { test } from "node:test"
import type { FabricLie } from "./fabric/fabric.ts"
import { violationText } from "./promise-broken.ts"
import { playSchedule, type ScheduleOptions } from "./schedule.ts"

test("two runs of one seed are the same to the last line", async () => {
  for (const seed of [1, 7, 2 ** 40 + 3]) {
    const [first, second] = [await playSchedule({ seed }), await playSchedule({ seed })]
    assert.ok(first.journal.length > 20)
    assert.deepEqual(second.journal, first.journal)
    assert.equal(second.hash, first.hash)
    assert.equal(second.virtualMillis, first.virtualMillis)
  }
  assert.notEqual((await playSchedule({ seed: 1 })).hash, (await playSchedule({ seed: 2 })).hash)
})

/** The first seed, of so many, at which a broken world is convicted; and of what. */
async function convictedWithin(
  seeds: number,
  options: Omit<ScheduleOptions, "seed">,
): Promise<{ readonly seed: number; readonly texts: string[] }> {
  for (let seed = 1; seed <= seeds; seed++) {
    const { violations } = await playSchedule({ seed, ...options })
    if (violations.length > 0) return { seed, texts: violations.map(violationText) }
  }
  return assert.fail(`nothing was noticed in ${seeds} schedules`)
}

const lies: Record<FabricLie, RegExp> = {
  "stops-late": /^P2 .* wrote bytes/,
  "dismisses-late": /^P6 .* without a session/,
  "forgets-boots": /^P[46] /,
  "asks-nobody": /^P6 /,
}

for (const [lie, words] of Object.entries(lies) as [FabricLie, RegExp][]) {
  test(`a fabric that lies (${lie}) is convicted`, async () => {
    const { texts } = await convictedWithin(300, { lies: [lie] })
    assert.ok(
      texts.some((text) => words.test(text)),
      texts.join("\n"),
    )
  })
}

test("bytes that are written once more after the end of a ticket are noticed", async () => {
  const { texts } = await convictedWithin(100, { transportFaults: ["duplicate"] })
  assert.ok(
    texts.some((text) => /^P2 .* (written after its end|written though a post of \S+ had ended)/.test(text)),
    texts.join("\n"),
  )
})
