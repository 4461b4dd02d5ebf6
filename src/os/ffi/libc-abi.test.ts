import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { checkAbi } from "./check-abi.ts"
import { libcAbi } from "./libc-abi.ts"

test("the layouts in our table are those of the platform that runs this", () => {
  checkAbi()
})

test("every entry of our table is what this machine's headers say, and none is missing", (t) => {
  const compiler = process.env["CC"] ?? "cc"
  if (spawnSync(compiler, ["--version"]).status !== 0) {
    return t.skip(`no C compiler (${compiler}) on this machine`)
  }
  const folder = mkdtempSync(join(tmpdir(), "kvferry-abi-"))
  try {
    const source = fileURLToPath(new URL("../../../tools/abi/libc-abi.c", import.meta.url))
    const program = join(folder, "libc-abi")
    execFileSync(compiler, ["-o", program, source], { stdio: "pipe" })
    const printed: unknown = JSON.parse(execFileSync(program, { encoding: "utf8" }))
    assert.deepEqual(printed, { ...libcAbi })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
