import assert from "node:assert/strict"
import { test } from "node:test"
import type { RelaxedOrderingMode } from "../../config/rdma-settings.ts"
import { KvError } from "../../errors/kv-error.ts"
import { accessFlagNames, decideRelaxedOrdering } from "./relaxed-ordering.ts"

const library = "/usr/lib/libibverbs.so.1"
const decide = (mode: RelaxedOrderingMode, hasIova2: boolean): ReturnType<typeof decideRelaxedOrdering> =>
  decideRelaxedOrdering({ mode, origin: "--relaxed-ordering" }, hasIova2, library)

test("the flag is set where the library can, and the line says which of the two cases it is", () => {
  for (const mode of ["auto", "on"] as const) {
    const had = decide(mode, true)
    assert.deepEqual([had.relaxed, had.flags], [true, 1 << 20])
    assert.match(had.why, /libibverbs\.so\.1 has ibv_reg_mr_iova2/)
  }
  const missed = decide("auto", false)
  assert.deepEqual([missed.relaxed, missed.flags], [false, 0])
  assert.match(missed.why, /cannot be had.*has no ibv_reg_mr_iova2.*strict/)
  for (const hasIova2 of [true, false]) assert.equal(decide("off", hasIova2).flags, 0)
})

test("on where it cannot be had is an error, not a fallback", () => {
  assert.throws(
    () => decide("on", false),
    (error: unknown) => error instanceof KvError && error.code === "KV_TRANSPORT_UNAVAILABLE",
  )
})

test("the flags of a registration are shown by their names, and none is hidden", () => {
  assert.deepEqual(accessFlagNames(0), [])
  assert.deepEqual(accessFlagNames(5 | (1 << 20)), ["local write", "remote read", "relaxed ordering"])
  assert.deepEqual(accessFlagNames(2 ** 31), ["0x80000000"])
})
