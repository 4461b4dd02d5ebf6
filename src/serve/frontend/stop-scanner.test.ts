import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { StopScanner } from "./stop-scanner.ts"

test("text that cannot begin a stop string passes at once", () => {
  const scanner = new StopScanner(["###"])
  assert.equal(scanner.push("abc"), "abc")
  assert.equal(scanner.push("d#"), "d")
  assert.equal(scanner.push("e"), "#e")
})

test("a stop string across pieces ends the text before it", () => {
  const scanner = new StopScanner(["STOP", "END"])
  assert.equal(scanner.push("one S"), "one ")
  assert.equal(scanner.push("TO"), "")
  assert.equal(scanner.push("P two"), "")
  assert.equal(scanner.stopped, true)
  assert.equal(scanner.push("more"), "")
  assert.equal(scanner.end(), "")
})

test("what was held back comes when the text ends", () => {
  const scanner = new StopScanner(["STOP"])
  assert.equal(scanner.push("one STO"), "one ")
  assert.equal(scanner.end(), "STO")
})

test("however a text is cut into pieces, what passes is the text before the first stop string", () => {
  const letters = fc.constantFrom("a", "b", "c")
  const word = (minLength: number, maxLength: number) =>
    fc.array(letters, { minLength, maxLength }).map((chars) => chars.join(""))
  fc.assert(
    fc.property(
      fc.array(word(0, 4), { maxLength: 12 }),
      fc.array(word(1, 4), { maxLength: 4 }),
      (pieces, stops) => {
        const scanner = new StopScanner(stops)
        const passed = pieces.map((piece) => scanner.push(piece)).join("") + scanner.end()
        const text = pieces.join("")
        // A stop string counts from the piece that completes it: an earlier one that would begin before but
        // is complete only later does not.
        const complete = pieces.map((_, at) => pieces.slice(0, at + 1).join(""))
        const seen = complete.find((prefix) => stops.some((stop) => prefix.includes(stop)))
        const cut = seen === undefined ? text.length : Math.min(...stops.map((stop) => position(seen, stop)))
        assert.equal(passed, text.slice(0, cut))
        assert.equal(scanner.stopped, seen !== undefined)
      },
    ),
  )
})

function position(text: string, stop: string): number {
  const at = text.indexOf(stop)
  return at === -1 ? Number.POSITIVE_INFINITY : at
}
