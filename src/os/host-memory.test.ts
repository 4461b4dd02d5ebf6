import assert from "node:assert/strict"
import { fstatSync } from "node:fs"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { freeMemory } from "./free-memory.ts"
import { hostMemory } from "./host-memory.ts"
import { freeReservedBytes, hugePageBytes } from "./huge-pages.ts"
import { bindToNode, memoryNodes } from "./numa.ts"
import { touchPages } from "./populate.ts"

const mib = 2 ** 20

const presentBytes = (fd: number): number => fstatSync(fd).blocks * 512

function thrown(action: () => unknown): KvError {
  try {
    action()
  } catch (error) {
    assert.ok(error instanceof KvError, String(error))
    return error
  }
  return assert.fail("nothing was thrown")
}

test("memory is there only where it was touched, until its page faults are taken", () => {
  using mapping = hostMemory.map(3 * mib + 1, "faults", { pages: "small" })
  assert.equal(presentBytes(mapping.fd), 0)
  mapping.populate(mib, 4096)
  assert.equal(presentBytes(mapping.fd), 4096)
  mapping.populate(0, mapping.byteLength)
  assert.equal(presentBytes(mapping.fd), 3 * mib + 4096)
  using at = hostMemory.map(2 * mib, "faults", { populate: true })
  assert.equal(presentBytes(at.fd), 2 * mib)
})

test("taking page faults changes no byte, by advice and by hand", () => {
  using mapping = hostMemory.map(mib, "content", { pages: "small" })
  const bytes = mapping.view(0, mib)
  for (let at = 0; at < mib; at += 4096) bytes[at] = at / 4096
  const before = Buffer.from(bytes)
  mapping.populate(0, mib)
  touchPages(mapping.addressOf(0, mib), mib, "write")
  touchPages(mapping.addressOf(0, mib), mib, "read")
  assert.ok(before.equals(bytes))
})

test("pages that are touched by hand are there: for kernels that do not know the advice", () => {
  using mapping = hostMemory.map(mib, "touched", { pages: "small" })
  touchPages(mapping.addressOf(0, mib), mib, "write")
  assert.equal(presentBytes(mapping.fd), mib)
})

test("more memory than the machine has is refused with both numbers, before the kernel kills for it", () => {
  const asked = 2 ** 44
  using mapping = hostMemory.map(asked, "huge", { pages: "small" })
  const error = thrown(() => mapping.populate(0, asked))
  assert.equal(error.code, "KV_OS")
  assert.match(error.what, /^17592186044416 bytes .+ leaves \d+$/)
  assert.equal(presentBytes(mapping.fd), 0)
})

test("what is there already is not asked for twice", () => {
  using mapping = hostMemory.map(8 * mib, "again", { pages: "small", populate: true })
  mapping.populate(0, 8 * mib)
  assert.equal(presentBytes(mapping.fd), 8 * mib)
})

test("page faults of a range outside the mapping, or of a closed one, are refused", () => {
  const mapping = hostMemory.map(mib, "bounds")
  for (const [offset, length] of [
    [0, mib + 1],
    [-1, 1],
    [0.5, 1],
    [mib, 1],
  ]) {
    assert.equal(thrown(() => mapping.populate(offset!, length!)).code, "KV_REGION_BOUNDS")
  }
  mapping[Symbol.dispose]()
  assert.equal(thrown(() => mapping.populate(0, 1)).code, "KV_REGION_BOUNDS")
})

test("a mapping says which pages it was given, and why", () => {
  using small = hostMemory.map(4 * mib, "small", { pages: "small", populate: true })
  assert.deepEqual(small.pages, { kind: "small", hugeBytes: 0, why: "no huge pages were asked for" })
  using large = hostMemory.map(4 * mib, "large", { populate: true })
  const { kind, hugeBytes, why } = large.pages
  assert.equal(kind, hugeBytes > 0 ? "transparent" : "small")
  assert.ok(why.length > 0)
})

test("reserved huge pages are taken while there are enough, and done without when there are not", () => {
  const enough = freeReservedBytes() >= 2 * hugePageBytes
  using mapping = hostMemory.map(3 * mib, "reserved", { pages: "reserved", populate: true })
  assert.equal(mapping.pages.kind === "reserved", enough)
  assert.equal(fstatSync(mapping.fd).blksize, enough ? hugePageBytes : fstatSync(mapping.fd).blksize)
  mapping.view(0, 3 * mib).fill(7)
})

test("a NUMA node that is not there is refused, and one of one is no work", () => {
  assert.equal(thrown(() => hostMemory.map(mib, "node", { node: 4711 })).code, "KV_USAGE")
  const nodes = memoryNodes()
  using mapping = hostMemory.map(mib, "node", { node: nodes[0]!, populate: true })
  assert.match(mapping.placement, nodes.length === 1 ? /the only one/ : /^bound to/)
})

test("binding to a node is a call that the kernel understands", (t) => {
  using mapping = hostMemory.map(mib, "bind", { pages: "small" })
  try {
    bindToNode(mapping.addressOf(0, mib), mib, memoryNodes()[0]!)
  } catch (error) {
    if (/ENOSYS|EPERM/.test(String(error))) return t.skip("this kernel has no NUMA, or does not let us")
    throw error
  }
  mapping.populate(0, mib)
  assert.equal(presentBytes(mapping.fd), mib)
  const absent = thrown(() => bindToNode(mapping.addressOf(0, mib), mib, 1000))
  assert.match(absent.why ?? "", /EINVAL/)
})

test("free memory is a number below the machine's, with the limit that says so", () => {
  const { bytes, limit } = freeMemory()
  assert.ok(bytes > 0 && bytes < 2 ** 50, String(bytes))
  assert.ok(limit.length > 0)
})
