import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { checkLockedMemory, type LockedMemory, readLockedMemory } from "./memlock.ts"

/** A process as /proc shows it. */
function proc(change: { limits?: string; capabilities?: string; map?: string } = {}) {
  const files: Record<string, string> = {
    "/proc/self/limits": [
      "Limit                     Soft Limit           Hard Limit           Units     ",
      "Max address space         unlimited            unlimited            bytes     ",
      `Max locked memory         ${change.limits ?? "65536                8388608"}             bytes     `,
    ].join("\n"),
    "/proc/self/status": [
      "Name:\tnode",
      "VmLck:\t       8 kB",
      "VmPin:\t      32 kB",
      `CapEff:\t${change.capabilities ?? "0000000000000000"}`,
    ].join("\n"),
    "/proc/self/uid_map": change.map ?? "         0          0 4294967295",
  }
  return (path: string): string | undefined => files[path]
}

test("limits, pinned bytes and the capability are read as the kernel writes them", () => {
  assert.deepEqual(readLockedMemory(proc()), {
    limit: 65536,
    hardLimit: 8388608,
    pinned: 32768,
    locked: 8192,
    exempt: false,
  })
  const free = readLockedMemory(proc({ limits: "unlimited            unlimited" }))
  assert.equal(free?.limit, Number.POSITIVE_INFINITY)
  assert.equal(readLockedMemory(proc({ capabilities: "0000000000004000" }))?.exempt, true)
  assert.equal(readLockedMemory(proc({ capabilities: "0000000000002000" }))?.exempt, false)
})

test("the capability of a user namespace lifts no limit", () => {
  const rootless = proc({ capabilities: "000001ffffffffff", map: "         0       1000          1\n" })
  assert.equal(readLockedMemory(rootless)?.exempt, false)
})

test("this process is read without a mistake, and a machine without /proc says nothing", () => {
  const memory = readLockedMemory()
  assert.ok(
    memory !== undefined && memory.limit >= 0 && memory.pinned >= 0 && memory.hardLimit >= memory.limit,
  )
  assert.equal(
    readLockedMemory(() => undefined),
    undefined,
  )
  checkLockedMemory(2 ** 50, 4, undefined)
})

const memory: LockedMemory = { limit: 65536, hardLimit: 131072, pinned: 32768, locked: 0, exempt: false }

test("memory that fits may be registered; each rail counts by itself", () => {
  checkLockedMemory(32768, 1, memory)
  checkLockedMemory(2 ** 40, 4, { ...memory, exempt: true })
  checkLockedMemory(2 ** 40, 4, { ...memory, limit: Number.POSITIVE_INFINITY })
  assert.throws(() => checkLockedMemory(32768, 2, memory))
  assert.throws(() => checkLockedMemory(32769, 1, memory))
})

test("the refusal has every number, and what raises the limit", () => {
  const refusal = (bytes: number): KvError => {
    try {
      checkLockedMemory(bytes, 2, memory)
    } catch (thrown) {
      assert.ok(thrown instanceof KvError)
      return thrown
    }
    return assert.fail("nothing was thrown")
  }
  const soft = refusal(40000)
  assert.equal(soft.code, "KV_LIMIT")
  assert.match(soft.message, /40000 bytes cannot be registered with 2 rails: that pins 80000 bytes/)
  assert.match(soft.message, /may pin 65536 bytes \(RLIMIT_MEMLOCK\) and has pinned 32768/)
  assert.match(soft.message, /ulimit -l 111/)
  assert.match(refusal(60000).message, /hard: 131072 bytes.*LimitMEMLOCK=infinity/)
})
