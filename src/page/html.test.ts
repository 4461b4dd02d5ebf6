import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { escapeHtml, html } from "./html.ts"

test("html escapes texts in its holes and keeps markup as it is", () => {
  const inner = html`<b title="${'a"b'}">${"<i>"}</b>`
  assert.equal(
    String(html`<p>${[inner, 3, undefined, false, "&"]}</p>`),
    '<p><b title="a&quot;b">&lt;i&gt;</b>3&amp;</p>',
  )
})

test("what cannot be seen is shown as its number", () => {
  assert.equal(
    escapeHtml("a\u202eb\u0000\n\tc\ud83d\ude00\ud83d"),
    "a\\u{202e}b\\u{0}\n\tc\ud83d\ude00\\u{d83d}",
  )
})

test("no text ends an attribute or starts a tag", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.doesNotMatch(escapeHtml(text), /[<>"']/)
      assert.doesNotMatch(escapeHtml(text), /&(?!(amp|lt|gt|quot|#39);)/)
    }),
  )
})
