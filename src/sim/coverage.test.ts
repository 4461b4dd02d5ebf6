import assert from "node:assert/strict"
import { test } from "node:test"
import { handshakeTransitions } from "../agent/handshake-state.ts"
import { allTransitions, Coverage, neverTaken } from "./coverage.ts"
import { coverageLines } from "./coverage-table.ts"

test("every transition of the three machines is in the table, once", () => {
  assert.equal(new Set(allTransitions).size, allTransitions.length)
  for (const name of ["ticket moved prove", "lease held lose", "handshake welcome-sent present"])
    assert.ok(allTransitions.includes(name), name)
  const handshakes = allTransitions.filter((name) => name.startsWith("handshake"))
  assert.equal(handshakes.length, handshakeTransitions.length)
  for (const name of Object.keys(neverTaken)) assert.ok(allTransitions.includes(name), name)
})

test("what was never taken is named, and what cannot be taken and was, too", () => {
  const coverage = new Coverage()
  const expected = allTransitions.filter((name) => !(name in neverTaken))
  assert.deepEqual(coverage.missing, expected)
  for (const name of expected.slice(1)) {
    const [machine, state, event] = name.split(" ") as ["ticket", string, string]
    coverage.note(machine, state, event, [])
  }
  assert.deepEqual(coverage.missing, expected.slice(0, 1))
  assert.deepEqual(coverage.surprising, [])
  coverage.note("ticket", "proven", "fail", [])
  assert.deepEqual(coverage.surprising, ["ticket proven fail"])
})

test("a step counts under every fault in force; counts of runs add up", () => {
  const [one, other] = [new Coverage(), new Coverage()]
  one.note("lease", "offered", "claim", ["kill", "slow"])
  other.note("lease", "offered", "claim", ["slow"])
  other.note("lease", "offered", "claim", [])
  one.add(other.counts)
  assert.deepEqual(one.counts, { "lease offered claim": { kill: 1, slow: 2, none: 1 } })
  const lines = coverageLines(one.counts)
  assert.match(lines[0]!, /^machine +state +event +none +kill +slow$/)
  assert.ok(lines.some((line) => /^lease +offered +claim +1 +1 +2$/.test(line)))
  assert.ok(lines.some((line) => /^lease +held +lose +NEVER/.test(line)))
  assert.ok(lines.some((line) => /^ticket +proven +fail +cannot/.test(line)))
})
