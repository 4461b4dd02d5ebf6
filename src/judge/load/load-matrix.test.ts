import assert from "node:assert/strict"
import { test } from "node:test"
import { styleFor } from "../../terminal/style.ts"
import type { PairResult } from "../load-document.ts"
import { tiny } from "./load.test.kit.ts"
import { benchMatrix, matrixCells, matrixLines } from "./load-matrix.ts"
import { type LoadFlags, loadRequest } from "./load-request.ts"
import { onThisMachine } from "./open-engines.ts"

const style = styleFor({ isTTY: false }, {})
const none = { prefill: [], decode: [] }
const cells = (flags: LoadFlags, ends: Parameters<typeof matrixCells>[1] = none) =>
  matrixCells(loadRequest({ ...tiny, ...flags }), ends).map(
    ({ from, to, engine }) => `${from} ${to} ${engine.name}`,
  )

test("without NICs the pairs are engines, over each path of kvferry's", () => {
  assert.deepEqual(cells({}), [
    "prefill-0 decode-0 kvferry:shm",
    "prefill-0 decode-0 kvferry:cma",
    "prefill-0 decode-0 kvferry:tcp",
  ])
  assert.equal(
    cells({ engines: ["kvferry:tcp", "nixl:UCX"], prefillEngines: 4, decodeEngines: 2 }).length,
    16,
  )
})

test("with NICs on both sides every one meets every other", () => {
  const ends = { prefill: ["mlx5_0", "mlx5_1"], decode: ["mlx5_2", "mlx5_3"] }
  assert.deepEqual(cells({}, ends), [
    "mlx5_0 mlx5_2 kvferry:verbs",
    "mlx5_0 mlx5_3 kvferry:verbs",
    "mlx5_1 mlx5_2 kvferry:verbs",
    "mlx5_1 mlx5_3 kvferry:verbs",
  ])
  assert.throws(
    () => cells({}, { prefill: Array.from({ length: 32 }, (_, i) => `a${i}`), decode: Array(32).fill("b") }),
    /1024 pairs/,
  )
})

test("every pair is measured alone, and checked", { timeout: 120_000 }, async () => {
  const request = loadRequest({ ...tiny, engines: ["kvferry:shm", "kvferry:cma"], decodeEngines: 2 })
  const matrix = await benchMatrix(request, matrixCells(request, none), {
    placement: onThisMachine,
    signal: new AbortController().signal,
    onStep: () => {},
  })
  assert.equal(matrix.length, 4)
  for (const { verdict, bytesPerSecond, why } of matrix) {
    assert.equal(verdict, "identical", why)
    assert.ok(bytesPerSecond! > 0)
  }
})

test("a slow pair is marked, and a wrong one has no rate", () => {
  const pair = (from: string, to: string, rate?: number): PairResult => ({
    from,
    to,
    engine: "kvferry:verbs",
    verdict: rate === undefined ? "different" : "identical",
    ...(rate === undefined ? { why: "zeros" } : { bytesPerSecond: rate }),
  })
  const text = matrixLines(
    [pair("a", "x", 24e9), pair("a", "y", 23e9), pair("b", "x", 12e9), pair("b", "y")],
    style,
  ).join("\n")
  assert.match(text, /^a +24\.0 +23\.0$/m)
  assert.match(text, /^b +12\.0 ! +WRONG$/m)
  assert.match(text, /b to y, kvferry:verbs: different: zeros/)
})
