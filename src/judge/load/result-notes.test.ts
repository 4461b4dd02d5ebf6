import assert from "node:assert/strict"
import { test } from "node:test"
import type { LoadResult } from "../load-document.ts"
import { sampleLoad } from "../report/samples.test.kit.ts"
import { resultNotes } from "./result-notes.ts"

const like = (role: LoadResult["role"]): LoadResult =>
  sampleLoad().results.find((result) => result.role === role && result.bytesPerSecond !== undefined)!
const rated = (result: LoadResult, median: number): LoadResult => ({
  ...result,
  bytesPerSecond: { median, low: median, high: median },
})
const over = (path: string): LoadResult => {
  const kvferry = like("kvferry")
  return { ...rated(kvferry, 1e9), receipt: { ...kvferry.receipt!, path } }
}
const nics = { devices: { prefill: "mlx5_0", decode: "mlx5_0" } }

test("NICs that were named and took no part are told", () => {
  assert.match(
    resultNotes(nics, [over("shm")]).join(),
    /^kvferry: .* over shm, and no NIC of mlx5_0 took part$/,
  )
  assert.deepEqual(resultNotes(nics, [over("verbs")]), [])
  assert.deepEqual(resultNotes({ devices: undefined }, [over("shm")]), [])
})

test("a ceiling that an engine was faster than is told to be none", () => {
  const told = (rate: number): string =>
    resultNotes({ devices: undefined }, [rated(like("ceiling"), 10e9), rated(like("kvferry"), rate)]).join()
  assert.equal(told(10.5e9), "")
  assert.match(told(12e9), /^kvferry was faster than memcpy, the ceiling/)
})
