import assert from "node:assert/strict"
import { test } from "node:test"
import { chooseCases } from "./choose-cases.ts"
import { liar } from "./judge-liar.test.kit.ts"
import { type EngineRunOptions, runEngine, whyUnavailable } from "./run-engine.ts"

const options: EngineRunOptions = {
  cases: chooseCases(["shapes"], undefined),
  seed: 3,
  effort: "quick",
  failFast: false,
  all: false,
  signal: new AbortController().signal,
}

test("an engine whose first cases all fail with wrong bytes is stopped, and the record says so", async () => {
  const { cases, stopped } = await runEngine(liar("base-address"), options)
  assert.equal(cases.length, 8)
  assert.match(stopped!, /first 8 cases have all failed .*base-address in \d\); --all runs the others/)
})

test("--fail-fast stops at the first case that fails", async () => {
  const { cases, stopped } = await runEngine(liar("queue-of-1024"), { ...options, failFast: true })
  assert.deepEqual(
    cases.map(({ verdict }) => verdict),
    ["passed", "passed", "failed"],
  )
  assert.match(stopped!, /--fail-fast/)
})

test("the bytes of the first wrong block are handed over", async () => {
  const blocks: { id: string; expected: number; differ: boolean }[] = []
  const cases = chooseCases(undefined, ["shapes/counts-read"])
  await runEngine(liar("zeros"), {
    ...options,
    cases,
    wrong: (id, { expected, found }) => {
      const differ = Buffer.compare(expected, found) !== 0
      blocks.push({ id, expected: expected.byteLength, differ })
    },
  })
  assert.deepEqual(blocks, [{ id: "shapes/counts-read", expected: 16_384, differ: true }])
})

test("a driver that dies while it is asked is a crash, with its last words, and the next case has another one", async () => {
  const cases = chooseCases(undefined, ["shapes/edges-read", "shapes/zero-length", "shapes/order-read"])
  const { cases: results } = await runEngine(liar("dies-of-nothing"), { ...options, cases })
  const found = results.map(({ id, verdict, finding }) => [id, verdict, finding?.kind])
  assert.deepEqual(found, [
    ["shapes/order-read", "passed", undefined],
    ["shapes/edges-read", "passed", undefined],
    ["shapes/zero-length", "failed", "crash"],
  ])
  assert.match(results.at(-1)!.finding!.log!, /nothing to move/)
})

test("an engine that cannot open says why", async () => {
  assert.match((await whyUnavailable(liar("no-engine"), options))!, /NO_ENGINE: .*it is not there/)
  assert.equal(await whyUnavailable(liar("honest"), options), undefined)
})
