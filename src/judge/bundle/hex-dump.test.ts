import assert from "node:assert/strict"
import { test } from "node:test"
import { hexDump } from "./hex-dump.ts"

test("rows that differ stand beside each other, others are counted", () => {
  const expected = Buffer.alloc(70, 0xaa)
  const found = Buffer.from(expected)
  found[17] = 0xbb
  found[69] = 0
  assert.deepEqual(hexDump(expected, found, 0x50000), [
    `  offset      ${"expected".padEnd(48)}  found`,
    "  … 1 row as expected",
    "! 0000050010  aa aa aa aa aa aa aa aa  aa aa aa aa aa aa aa aa  aa bb aa aa aa aa aa aa  aa aa aa aa aa aa aa aa",
    "  … 2 rows as expected",
    "! 0000050040  aa aa aa aa aa aa                                 aa aa aa aa aa 00",
  ])
})

test("only so many rows are shown", () => {
  const lines = hexDump(Buffer.alloc(4096), Buffer.alloc(4096, 1), 0, 3)
  assert.equal(lines.length, 5)
  assert.equal(lines.at(-1), "  … and more from byte 48 of these 4096 on")
})
