import assert from "node:assert/strict"
import { test } from "node:test"
import { plainLog } from "./plain-log.ts"

test("colours, titles and cursor movements go, words and lines stay", () => {
  const log =
    "\u001b]0;title\u0007\u001b[31;1mE\u001b[0m fatal\u001b[2K\u001b7 [31m is text\r\n10 %\r20 %\rdone\n\n"
  assert.equal(plainLog(log), "E fatal [31m is text\ndone")
})

test("sequences of eight bits and strings for devices go, too", () => {
  assert.equal(
    plainLog("\u009b33ma\u009b0m \u001bP1;2q#0~\u001b\\b \u009d0;t\u009cc \u001b_apc\u001b\\d\u001b(B"),
    "a b c d",
  )
})

test("a string that nobody ends hides no more than its line", () => {
  assert.equal(plainLog("one \u001b]0;title\ntwo \u001bPmore\nE fatal"), "one \ntwo \nE fatal")
})

test("of progress that never came to an end, what was shown last stays", () => {
  assert.equal(plainLog("10 %\r20 %\r"), "20 %")
  assert.equal(plainLog("\r\r\r\n10 %\r\r\n\r20 %"), "\n10 %\n20 %")
})

test("an escape that is no sequence, and what else is no text, is left to whoever shows it", () => {
  assert.equal(plainLog("a\u001b"), "a\u001b")
  assert.equal(plainLog("\u0000a\u0008\u0007b"), "\u0000a\u0008\u0007b")
})

test("a long line takes no longer than its length", { timeout: 5000 }, () => {
  for (const part of ["x", "\r", "\u001b[1", "\u001b]", " "])
    assert.ok(plainLog(`${part.repeat(1_000_000)}x`).length <= 3_000_001)
})
