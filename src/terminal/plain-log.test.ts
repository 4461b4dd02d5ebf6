import assert from "node:assert/strict"
import { test } from "node:test"
import { plainLog } from "./plain-log.ts"

test("colours, titles and cursor movements go, words and lines stay", () => {
  const log =
    "\u001b]0;title\u0007\u001b[31;1mE\u001b[0m fatal\u001b[2K\u001b7 [31m is text\r\n10 %\r20 %\rdone\n\n"
  assert.equal(plainLog(log), "E fatal [31m is text\ndone")
})

test("an escape that is no sequence is left to whoever shows it", () => {
  assert.equal(plainLog("a\u001b"), "a\u001b")
})
