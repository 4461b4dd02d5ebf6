import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { libc } from "./libc.ts"
import { libcAbi as abi } from "./libc-abi.ts"
import { bindLibrary, errno } from "./symbols.ts"

test("a library that is not there is an error that names every file tried", () => {
  assert.throws(
    () => bindLibrary(["libkvferry-none.so.1", "libkvferry-none.so.2"], {}),
    (error) => {
      assert.ok(error instanceof KvError)
      assert.equal(error.code, "KV_TRANSPORT_UNAVAILABLE")
      assert.match(error.what, /libkvferry-none\.so\.1, libkvferry-none\.so\.2/)
      assert.match(error.why ?? "", /libkvferry-none\.so\.1: .+; libkvferry-none\.so\.2: .+/)
      return true
    },
  )
})

test("a library without the wanted symbol is an error that names the symbol", () => {
  const table = { kvferry_no_such_symbol: { result: "i32", parameters: [] } } as const
  assert.throws(() => bindLibrary(["libc.so.6"], table), /kvferry_no_such_symbol/)
})

test("a bad address in a system call is an errno, and the errno is that call's", () => {
  assert.equal(libc.write(1, 8, 8), -1)
  assert.equal(errno(), abi.EFAULT)
})
