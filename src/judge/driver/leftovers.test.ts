import assert from "node:assert/strict"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { removeLeftovers } from "./leftovers.ts"

test("the files of a process that has ended go, and no others", () => {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-leftovers-"))
  try {
    const others = ["412:0:0", "4:0:0", "41", "41:0", "41:0:0:0", "x41:0:0", "sem.41:0:0"]
    for (const name of ["41:0:0", "41:1000:12", ...others]) writeFileSync(join(folder, name), "")
    removeLeftovers(41, folder)
    assert.deepEqual(readdirSync(folder).sort(), others.sort())
    removeLeftovers(41, join(folder, "none"))
  } finally {
    rmSync(folder, { recursive: true })
  }
})
