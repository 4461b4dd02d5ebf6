import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { oneLine, terminalJson } from "./one-line.ts"

const nasty = fc.string({ unit: "binary", maxLength: 40 })

test("whatever comes in, a cell is one line without a control, a format or a direction mark", () => {
  fc.assert(
    fc.property(nasty, fc.integer({ min: 1, max: 30 }), (text, max) => {
      assert.doesNotMatch(oneLine(text, max), /[\p{C}\p{Zl}\p{Zp}]/u)
    }),
  )
  assert.equal(oneLine("a\u001b[31m\n\u202eb", 20), "a\\u{1b}[31m\\u{a}\\u{202e}b")
})

test("a long text is cut and says so, a short one stays as it is", () => {
  assert.equal(oneLine("Grüße 漢字 😀", 10), "Grüße 漢字 😀")
  assert.equal(oneLine("0123456789", 10), "0123456789")
  assert.equal(oneLine("0123456789a", 10), "012345678…")
  assert.equal(oneLine("😀😀😀", 2), "😀…")
})

test("JSON for a terminal is the same value, and has nothing that a terminal obeys", () => {
  fc.assert(
    fc.property(nasty, (text) => {
      const written = terminalJson({ text })
      assert.deepEqual(JSON.parse(written), { text })
      assert.doesNotMatch(written, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    }),
  )
})
