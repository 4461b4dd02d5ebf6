import assert from "node:assert/strict"
import { test } from "node:test"
import { tableLines } from "./table.ts"

test("columns line up: text to the left, numbers to the right, two spaces between", () => {
  const lines = tableLines(
    [{ title: "rail" }, { title: "bytes", number: true }, { title: "path" }],
    [
      ["first", "7", "tcp"],
      ["b", "1234567", "loopback"],
    ],
  )
  assert.deepEqual(lines, ["rail     bytes  path", "first        7  tcp", "b      1234567  loopback"])
})

test("no line ends in spaces, and a table without rows is its heading", () => {
  assert.deepEqual(tableLines([{ title: "a" }, { title: "long" }], [["x", ""]]), ["a  long", "x"])
  assert.deepEqual(tableLines([{ title: "a" }], []), ["a"])
})

test("a row that is too short leaves its last columns empty", () => {
  assert.deepEqual(tableLines([{ title: "a" }, { title: "b" }], [["1"]]), ["a  b", "1"])
})
