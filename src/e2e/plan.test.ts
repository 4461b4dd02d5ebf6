import assert from "node:assert/strict"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { kvferry } from "./run-kvferry.ts"

const record = fileURLToPath(new URL("../../docs/benchmarks/2026-11-20-engine.json", import.meta.url))

test("kvferry plan computes a transfer on a machine that is not here", async () => {
  const { code, stdout, stderr } = await kvferry(["plan", "--machine", "p5.48xlarge", "--job", "kv"])
  assert.equal(code, 0, stderr)
  assert.match(stdout, /^0 to 31 +12\.5 MiB +200 +200 +200 +200$/m)
  assert.match(stdout, /expected: 6\.66 ms, 63\.00 GB\/s; bound by host memory/)
  assert.match(stdout, /evidence model/)
})

test("kvferry plan takes a layout and figures of one's own, and is held against what a run took", async () => {
  const own = ["--rails", "2", "--gigabits", "8", "--host-gigabytes", "100", "--request-micros", "0"]
  const { code, stdout, stderr } = await kvferry([
    ...["plan", "--machine", "cx7-8x400", "--json", "--compare", record],
    ...own,
  ])
  assert.equal(code, 0, stderr)
  const report = JSON.parse(stdout) as {
    expectedMicros: number
    bound: string
    compared: { name: string; micros: number; timesExpected: number }[]
  }
  // 209,715,200 bytes on each of two rails of 1 GB/s.
  assert.deepEqual([report.expectedMicros.toFixed(3), report.bound], ["209715.200", "NIC"])
  const [run] = report.compared
  assert.ok(Math.abs(run!.timesExpected - run!.micros / 209_715.2) < 1e-9)
})

test("an unknown machine, job or file is wrong usage", async () => {
  assert.equal((await kvferry(["plan", "--machine", "abacus"])).code, 2)
  assert.equal((await kvferry(["plan"])).code, 2)
  const missing = await kvferry(["plan", "--machine", "cx7-8x400", "--compare", "/absent.json"])
  assert.deepEqual([missing.code, /KV_USAGE/.test(missing.stderr)], [2, true])
})
