import assert from "node:assert/strict"
import { test } from "node:test"
import { fields, hex, list, text, whole, wrong } from "./fields.ts"

test("what the other side wrote is shown shortened, whatever it is", () => {
  assert.ok(wrong("name", "a text", "x".repeat(10_000)).what.length < 200)
  assert.match(wrong("name", "a text", undefined).what, /nothing/)
  assert.match(wrong("name", "a text", () => 1).what, /nothing/)
})

test("a field is read only when it is what it should be", () => {
  assert.equal(text({ name: "ab" }, "name", 2), "ab")
  assert.throws(() => text({ name: "abc" }, "name", 2))
  assert.throws(() => text({}, "name"))
  assert.equal(hex({ id: "00ff" }, "id", 2), "00ff")
  assert.throws(() => hex({ id: "00fF" }, "id", 2))
  assert.equal(whole({ n: 5 }, "n", 5), 5)
  assert.throws(() => whole({ n: 6 }, "n", 5))
  assert.throws(() => fields([], "message"))
  assert.throws(() => fields(null, "message"))
  assert.deepEqual(
    list({ l: [1, 2] }, "l", 2, (entry) => Number(entry) * 2),
    [2, 4],
  )
  assert.throws(() => list({ l: [1, 2, 3] }, "l", 2, Number))
})
