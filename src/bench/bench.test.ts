/** The bench at the size of a few KB, so that it does not rot. No time is judged here. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { progressOn } from "../terminal/progress.ts"
import { styleFor } from "../terminal/style.ts"
import { benchPlans } from "./plan-bench.ts"
import { integrityLines, planLines, tcpLines } from "./report.ts"
import { benchTransfers, type TransferCase } from "./transfer-bench.ts"

const style = styleFor({ isTTY: false }, {})
const progress = progressOn(process.stderr)
const limit = { timeout: 60_000 }

const scattered: TransferCase = {
  job: { name: "6 × 64 KiB", layers: 2, blocksPerLayer: 3, pieceBytes: 65_536 },
  streams: 2,
  pairs: 1,
  repeats: 1,
}
const single: TransferCase = {
  job: { name: "1 × 4 KiB", layers: 1, blocksPerLayer: 1, pieceBytes: 4096 },
  streams: 1,
  pairs: 2,
  repeats: 3,
}

function benchTiny(options: { readonly damage?: boolean; readonly signal?: AbortSignal } = {}) {
  const { damage = false, signal = new AbortController().signal } = options
  return benchTransfers({
    layers: 2,
    blocksPerLayer: 3,
    cases: [scattered, single],
    progress,
    signal,
    damage,
  })
}

test(
  "a tiny bench moves every byte through ceiling, tcp and memcpy, and prints its hash",
  limit,
  async () => {
    const bench = await benchTiny()
    assert.notEqual(bench.sourcePid, bench.targetPid)
    for (const { verdict, firstDifference, hash, ceiling, kvferry, memcpy, ...result } of bench.results) {
      assert.ok(result.othersCoresAverage >= 0)
      assert.equal(verdict, "identical", firstDifference)
      assert.match(hash, /^[0-9a-f]{16}$/)
      for (const times of [ceiling, kvferry, memcpy]) {
        assert.ok(times.micros.min > 0 && times.micros.min <= times.micros.median)
        assert.ok(times.bytesPerSecond.max >= times.bytesPerSecond.median)
      }
    }
    const text = [...tcpLines(bench, style), ...integrityLines(bench, style)].join("\n")
    assert.match(text, /6 × 64 KiB .*GB\/s|6 × 64 KiB .*MB\/s/)
    assert.ok(text.includes(bench.results[0]!.hash))
  },
)

test("one flipped bit among the moved bytes is a verdict of the bench", limit, async () => {
  const bench = await benchTiny({ damage: true })
  const { results } = bench
  assert.equal(results[0]!.verdict, "identical")
  assert.equal(results[1]!.verdict, "different")
  assert.match(results[1]!.firstDifference!, /^kvferry: region 0, offset \d+: 0x/)
  assert.match(tcpLines(bench, style).join("\n"), /bytes differ/)
})

test("an interrupted bench ends at once, with its processes", limit, async () => {
  const abort = new AbortController()
  const running = benchTiny({ signal: abort.signal })
  setTimeout(() => abort.abort(), 50)
  await assert.rejects(running, { code: "KV_CANCELLED" })
})

test("scattered blocks stay pieces of their own, and blocks in a row become one a layer", () => {
  const results = benchPlans({ repeats: 1 })
  assert.deepEqual(
    results.map(({ blocks, pieces }) => [blocks, pieces]),
    [
      [6400, 6400],
      [6400, 6400],
      [100_000, 100_000],
      [6400, 50],
    ],
  )
  assert.match(planLines(results, style).join("\n"), /6,400 blocks scattered/)
})
