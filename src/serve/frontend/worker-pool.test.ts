import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { WorkerPool } from "./worker-pool.ts"

const urls = ["http://a:1", "http://b:2/", "http://c:3/base/"]

test("workers take turns", () => {
  const pool = new WorkerPool("prefill", urls, () => 0)
  const picked = Array.from({ length: 4 }, () => pool.pick()!.url)
  assert.deepEqual(picked, ["http://a:1", "http://b:2", "http://c:3/base", "http://a:1"])
})

test("a worker that failed is passed over, for longer each time, until it answers", () => {
  let now = 0
  const pool = new WorkerPool("decode", urls.slice(0, 2), () => now)
  const [a, b] = pool.workers
  pool.failed(a!)
  assert.deepEqual([pool.pick(), pool.pick()], [b, b])
  now = 500
  assert.equal(pool.pick(), a)
  pool.failed(a!)
  now = 1400
  assert.equal(pool.pick(), b)
  assert.equal(pool.pick(), b)
  pool.succeeded(a!)
  assert.equal(pool.pick(), a)
})

test("when all failed, the one whose pause ends first is asked", () => {
  let now = 0
  const pool = new WorkerPool("decode", urls.slice(0, 2), () => now)
  const [a, b] = pool.workers
  pool.failed(b!)
  now = 100
  pool.failed(a!)
  assert.equal(pool.pick(), b)
})

test("an only worker is asked whatever it did, and has no other", () => {
  const pool = new WorkerPool("decode", ["http://a:1"], () => 0)
  const a = pool.pick()!
  pool.failed(a)
  assert.equal(pool.pick(), a)
  assert.equal(pool.pick(a), undefined)
})

test("URLs that are none are refused by name", () => {
  for (const url of ["", "a:1", "ftp://a", "http://user:pw@a", "http://a?x=1", "http://a#x"]) {
    assert.throws(
      () => new WorkerPool("prefill", [url]),
      (error) => error instanceof KvError && error.code === "KV_USAGE",
      url,
    )
  }
  assert.throws(() => new WorkerPool("prefill", []), /at least one prefill worker/)
})
