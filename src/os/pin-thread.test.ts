import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { Worker } from "node:worker_threads"
import { pinThread } from "./pin-thread.ts"

/** The processors that the process may use, as /proc lists them. */
const allowed = (): string =>
  /^Cpus_allowed_list:\s+(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]!

test("a thread is kept on its processor, and the others stay where they were", async () => {
  const before = allowed()
  const last = Number(/(\d+)$/.exec(before)![1])
  const file = new URL("./pin-thread.js", import.meta.url).href
  const body = `
    import { readFileSync } from "node:fs"
    import { parentPort } from "node:worker_threads"
    const { pinThread } = await import(${JSON.stringify(file)})
    pinThread(${last})
    parentPort.postMessage(/^Cpus_allowed_list:\\s+(\\S+)/m.exec(readFileSync("/proc/thread-self/status", "utf8"))[1])
  `
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(body)}`))
  const own = await new Promise((resolve, reject) => {
    thread.once("message", resolve)
    thread.once("error", reject)
  })
  await thread.terminate()
  assert.equal(own, String(last))
  assert.equal(allowed(), before)
})

test("a processor that is not there is an error, and changes nothing", () => {
  const before = allowed()
  for (const processor of [1023, 1024, -1, 0.5, Number.NaN]) {
    assert.throws(() => pinThread(processor), { code: "KV_USAGE" }, String(processor))
  }
  assert.equal(allowed(), before)
})
