import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { printable } from "./printable.ts"

test("a stranger's text is quoted, shortened, and cannot leave its line", () => {
  assert.equal(printable('say "hi"'), '"say \\"hi\\""')
  assert.equal(printable("\u202eabc"), '"\\u{202e}abc"')
  assert.equal(printable("x".repeat(100), 3), '"xxx… (100 characters)"')
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.ok(!/[\p{C}\p{Zl}\p{Zp}]/u.test(printable(text)))
    }),
  )
})

test("values that are no text are named without being walked", () => {
  assert.equal(printable(undefined), "undefined")
  assert.equal(printable(null), "null")
  assert.equal(printable(1.5), "1.5")
  assert.equal(printable([1, 2]), "an array of 2")
  assert.equal(printable({ toJSON: () => "x" }), "an object")
})
