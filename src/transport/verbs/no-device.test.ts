import assert from "node:assert/strict"
import { readdirSync } from "node:fs"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { rdmaClass, readRdmaDevices } from "../../os/rdma-devices.ts"
import { createVerbs } from "./verbs.ts"

const here = readRdmaDevices().length > 0 ? "this machine has RDMA" : undefined
const skip = here === undefined ? {} : { skip: here }
const endpoint = { host: "127.0.0.1", rails: 2 }

async function refusal(): Promise<KvError> {
  try {
    await createVerbs().open(endpoint)
  } catch (thrown) {
    assert.ok(thrown instanceof KvError, String(thrown))
    return thrown
  }
  return assert.fail("it was opened")
}

test("without RDMA the refusal names what was looked for, where, and what to do", skip, async () => {
  const { code, why, next } = await refusal()
  assert.equal(code, "KV_TRANSPORT_UNAVAILABLE")
  for (const place of ["libibverbs.so.1", rdmaClass, "/dev/infiniband"]) assert.ok(why?.includes(place), why)
  assert.ok((next?.length ?? 0) > 10)
})

test("without RDMA the refusal is quick and leaves nothing open", skip, async () => {
  await refusal()
  const before = readdirSync("/proc/self/fd").length
  const threads = readdirSync("/proc/self/task").length
  const times: number[] = []
  for (let i = 0; i < 20; i++) {
    const start = performance.now()
    await refusal()
    times.push(performance.now() - start)
  }
  assert.equal(readdirSync("/proc/self/fd").length, before)
  assert.equal(readdirSync("/proc/self/task").length, threads)
  // The median: a busy machine may take the core away from any one of them.
  const median = times.toSorted((a, b) => a - b)[10]!
  assert.ok(median < 5, `${median.toFixed(2)} ms`)
})
