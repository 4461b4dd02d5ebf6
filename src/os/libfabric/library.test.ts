import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { checkVersion, libfabricCopies, openLibfabric } from "./library.ts"

const mapping = (inode: number, path: string, offset = "00000000"): string =>
  `7f00a0000000-7f00a0001000 r-xp ${offset} fe:00 ${inode}                     ${path}`

test("one file is one copy, however often it is mapped; two files are two", () => {
  const system = "/usr/lib/x86_64-linux-gnu/libfabric.so.1.20.0"
  const wheel = "/venv/lib/python3.11/site-packages/nixl.libs/libfabric-5f2c1a9b.so.1.28.1"
  const one = [mapping(11, system), mapping(11, system, "00002000"), mapping(12, "/usr/lib/libc.so.6")]
  assert.deepEqual(libfabricCopies(one.join("\n")), [system])
  assert.deepEqual(libfabricCopies([...one, mapping(99, wheel), ""].join("\n")), [system, wheel])
  assert.deepEqual(libfabricCopies(mapping(7, "/home/x/libfabric.so.d/notes.txt")), [])
  assert.deepEqual(libfabricCopies(""), [])
})

test("a libfabric that is too old, or of a new major version, is refused with its numbers", () => {
  for (const [major, minor] of [
    [0, 9],
    [1, 13],
    [3, 0],
  ] as const) {
    assert.throws(
      () => checkVersion(major, minor, "/lib/libfabric.so.1"),
      (error) => {
        assert.ok(error instanceof KvError)
        assert.equal(error.code, "KV_TRANSPORT_UNAVAILABLE")
        assert.match(error.message, new RegExp(`${major}[.]${minor}`))
        assert.match(error.message, /\/lib\/libfabric\.so\.1.*1\.14/)
        return true
      },
    )
  }
  for (const [major, minor] of [
    [1, 14],
    [1, 99],
    [2, 0],
    [2, 40],
  ] as const)
    checkVersion(major, minor, "x")
})

test("a library that is not there is an error that names it", () => {
  assert.throws(() => openLibfabric("libfabric-none.so.1"), /libfabric-none\.so\.1/)
})
