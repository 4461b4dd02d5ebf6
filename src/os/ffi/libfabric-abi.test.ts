import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { libfabricAbi } from "./libfabric-abi.ts"

test("every entry of our table is what libfabric's headers say, and none is missing", (t) => {
  const compiler = process.env["CC"] ?? "cc"
  if (spawnSync(compiler, ["--version"]).status !== 0) {
    return t.skip(`no C compiler (${compiler}) on this machine`)
  }
  if (!existsSync("/usr/include/rdma/fi_rma.h")) return t.skip("no headers of libfabric on this machine")
  const folder = mkdtempSync(join(tmpdir(), "kvferry-fabric-abi-"))
  try {
    const source = fileURLToPath(new URL("../../../tools/abi/libfabric-abi.c", import.meta.url))
    const program = join(folder, "libfabric-abi")
    execFileSync(compiler, ["-w", "-o", program, source], { stdio: "pipe" })
    const printed: unknown = JSON.parse(execFileSync(program, { encoding: "utf8" }))
    assert.deepEqual(printed, { ...libfabricAbi })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
