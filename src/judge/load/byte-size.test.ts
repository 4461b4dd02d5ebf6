import assert from "node:assert/strict"
import { test } from "node:test"
import { parseByteSize } from "./byte-size.ts"

test("a size is bytes, or powers of 1024 by name", () => {
  for (const text of ["65536", "64K", "64KiB", "64 KiB", "65536B"])
    assert.equal(parseByteSize(text, "--block-size"), 65_536)
  assert.equal(parseByteSize("1G", "--buffer-size"), 2 ** 30)
})

test("what is no size is refused, and so is what has two meanings", () => {
  for (const text of ["64KB", "64k", "-1", "0", "1.5M", "", "K", "99999999999999999999", "64K; rm"])
    assert.throws(() => parseByteSize(text, "--block-size"), /KV_USAGE|--block-size does not understand/)
})
