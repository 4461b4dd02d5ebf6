import assert from "node:assert/strict"
import { closeSync, openSync } from "node:fs"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { runInChild } from "./child.test.kit.ts"
import { mapForeign } from "./foreign-memory.ts"
import { hostMemory } from "./host-memory.ts"
import { seal, sealsOf } from "./seals.ts"

const mib = 2 ** 20
const reading = { access: "read", name: "a test" } as const

function refusal(fd: number, byteLength: number): string {
  try {
    mapForeign(fd, byteLength, reading)[Symbol.dispose]()
  } catch (error) {
    assert.ok(error instanceof KvError, String(error))
    assert.equal(error.code, "KV_PEER_REFUSED", error.message)
    return error.why ?? ""
  }
  return assert.fail("it was mapped")
}

test("a file whose owner could cut it, that is too short, or full of holes, is never mapped", () => {
  using whole = hostMemory.map(mib, "whole", { pages: "small", populate: true })
  assert.match(refusal(whole.fd, mib), /its size is not sealed/)
  seal(whole.fd, { size: true, futureWrites: false })
  assert.match(refusal(whole.fd, mib + 1), /it has 1048576 bytes, fewer than the 1048577/)
  using holes = hostMemory.map(mib, "holes", { pages: "small" })
  holes.populate(0, 8192)
  seal(holes.fd, { size: true, futureWrites: false })
  assert.match(refusal(holes.fd, mib), /only 8192 of its 1048576 bytes are there/)
  const other = openSync("/dev/null", "r")
  assert.match(refusal(other, 1), /no memory file/)
  closeSync(other)
  assert.match(refusal(4711, 1), /no memory file/)
})

test("what the owner writes is seen through a mapping for reading, and the other way round through one for writing", () => {
  using owned = hostMemory.map(mib, "owned", { pages: "small", populate: true })
  seal(owned.fd, { size: true, futureWrites: false })
  using read = mapForeign(owned.fd, mib, reading)
  using write = mapForeign(owned.fd, mib, { access: "write", name: "a test" })
  read.populate(0, mib)
  write.populate(0, mib)
  owned.view(0, mib)[77] = 7
  assert.equal(read.view(77, 1)[0], 7)
  write.view(0, mib)[78] = 8
  assert.equal(owned.view(78, 1)[0], 8)
  assert.equal(read.view(78, 1)[0], 8)
})

test("a mapping that was closed shows zeros, and gives no address", () => {
  using owned = hostMemory.map(mib, "owned", { pages: "small", populate: true })
  owned.view(0, mib).fill(9)
  seal(owned.fd, { size: true, futureWrites: true })
  const read = mapForeign(owned.fd, mib, reading)
  const view = read.view(0, mib)
  assert.equal(view[5], 9)
  read[Symbol.dispose]()
  read[Symbol.dispose]()
  assert.equal(view[5], 0)
  assert.throws(() => read.addressOf(0, 1), /the span is closed/)
})

test("seals are for ever, may be asked for twice, and leave the owner's own mapping as it is", () => {
  using owned = hostMemory.map(mib, "sealed", { pages: "small", populate: true })
  assert.deepEqual(sealsOf(owned.fd), { size: false, futureWrites: false })
  seal(owned.fd, { size: true, futureWrites: true })
  seal(owned.fd, { size: true, futureWrites: true })
  seal(owned.fd, { size: true, futureWrites: false })
  assert.deepEqual(sealsOf(owned.fd), { size: true, futureWrites: true })
  owned.view(0, mib).fill(3)
  owned.populate(0, mib)
  assert.throws(() => mapForeign(owned.fd, mib, { access: "write", name: "a test" }), /EPERM/)
  const file = openSync("/dev/null", "r")
  assert.throws(() => seal(file, { size: true, futureWrites: true }), /could not be sealed/)
  closeSync(file)
})

test("the kernel ends a process that writes where it may only read", async () => {
  const ended = await runInChild(`
    const { hostMemory } = await ours("os/host-memory.js")
    const { mapForeign } = await ours("os/foreign-memory.js")
    const { seal } = await ours("os/seals.js")
    const owned = hostMemory.map(4096, "owned", { populate: true })
    seal(owned.fd, { size: true, futureWrites: true })
    const view = mapForeign(owned.fd, 4096, { access: "read", name: "a test" }).view(0, 4096)
    console.log("reads " + view[0])
    view[0] = 1
    console.log("wrote")
  `)
  assert.deepEqual({ signal: ended.signal, stdout: ended.stdout }, { signal: "SIGSEGV", stdout: "reads 0\n" })
})
