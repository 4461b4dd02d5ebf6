import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import {
  accessFlagNames,
  decideRelaxedOrdering,
  type RelaxedOrderingMode,
  relaxedOrderingWish,
} from "./relaxed-ordering.ts"

const library = "/usr/lib/libibverbs.so.1"
const decide = (mode: RelaxedOrderingMode, hasIova2: boolean): ReturnType<typeof decideRelaxedOrdering> =>
  decideRelaxedOrdering({ mode, origin: "--relaxed-ordering" }, hasIova2, library)

test("the option wins over Mooncake's variable, 1 and 2 of which mean auto, and the default is auto", () => {
  assert.deepEqual(relaxedOrderingWish("on", "0"), { mode: "on", origin: "--relaxed-ordering" })
  assert.deepEqual(relaxedOrderingWish(undefined, "0"), {
    mode: "off",
    origin: "MC_IB_PCI_RELAXED_ORDERING=0",
  })
  for (const value of ["1", "2"]) {
    assert.deepEqual(relaxedOrderingWish(undefined, value), {
      mode: "auto",
      origin: `MC_IB_PCI_RELAXED_ORDERING=${value}`,
    })
  }
  for (const value of [undefined, ""]) {
    assert.deepEqual(relaxedOrderingWish(undefined, value), { mode: "auto", origin: "default" })
  }
})

test("a word or number that means nothing is an error, never the default", () => {
  const refused = (error: unknown): boolean => error instanceof KvError && error.code === "KV_USAGE"
  for (const option of ["", "ON", "yes", "1"])
    assert.throws(() => relaxedOrderingWish(option, undefined), refused)
  for (const value of ["3", "-1", "on", " 1", "1x"]) {
    assert.throws(() => relaxedOrderingWish(undefined, value), refused)
  }
})

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
