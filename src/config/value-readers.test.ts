import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import * as read from "./value-readers.ts"

const refuses = (reader: (text: string) => unknown, ...texts: string[]): void => {
  for (const text of texts) assert.throws(() => reader(text), read.Unfit, JSON.stringify(text))
}

test("whole numbers are digits in a range, and nothing else", () => {
  assert.equal(read.whole(0, 255)("3"), 3)
  assert.equal(read.whole(0, 255)(" 255 "), 255)
  refuses(read.whole(0, 255), "256", "-1", "", "0x3", "3.0", "1e2", "three", "3 4", "९")
  assert.equal(read.wholeOrNoChoice(0, 255)("-1"), undefined)
  assert.equal(read.wholeOrNoChoice(0, 255)("7"), 7)
  refuses(read.wholeOrNoChoice(0, 255), "-2", "256")
})

test("bytes are counted by 1024", () => {
  const bytes = read.bytesBetween(4096, 2 ** 30)
  assert.deepEqual(["65536", "64K", "64KiB", "64 kib", "1M", "1G"].map(bytes), [
    65_536,
    65_536,
    65_536,
    65_536,
    2 ** 20,
    2 ** 30,
  ])
  refuses(bytes, "4095", "2G", "64KB", "1.5M", "-1", "", "M")
})

test("Mooncake's numbers for relaxed ordering: 0 is off, 1 and 2 are auto, and no other number is anything", () => {
  assert.deepEqual(["0", "1", "2"].map(read.mooncakeOrdering), ["off", "auto", "auto"])
  refuses(read.mooncakeOrdering, "3", "-1", "on", "auto", "", "valueOf", "__proto__")
  assert.deepEqual(["-1", "0", "1"].map(read.mooncakeParallel), [undefined, false, true])
  refuses(read.mooncakeParallel, "2", "true")
})

test("names of devices keep their order; hostile ones are refused", () => {
  assert.deepEqual(read.deviceNames("mlx5_1, mlx5_0"), ["mlx5_1", "mlx5_0"])
  assert.deepEqual(read.deviceNames("rdmap49s0"), ["rdmap49s0"])
  refuses(
    read.deviceNames,
    "",
    "mlx5_0,",
    "mlx5_0,mlx5_0",
    "../etc",
    "a b",
    "mlx5\u001b[31m",
    "a".repeat(65),
    "-x",
  )
  refuses(read.deviceNames, Array.from({ length: 65 }, (_, i) => `d${i}`).join(","))
})

test("processors are read as Linux lists them", () => {
  assert.deepEqual(read.processors("0-3,8"), [0, 1, 2, 3, 8])
  refuses(read.processors, "", "3-1", "0,0-2", "a", "1-", "0-99999")
  const once = fc.uniqueArray(fc.nat(4000), { minLength: 1, maxLength: 50 })
  fc.assert(fc.property(once, (list) => assert.deepEqual(read.processors(list.join(",")), list)))
})

test("weights name each device once, above 0", () => {
  assert.deepEqual(read.railWeights("mlx5_0=2,mlx5_1=0.5"), [
    { device: "mlx5_0", weight: 2 },
    { device: "mlx5_1", weight: 0.5 },
  ])
  refuses(
    read.railWeights,
    "",
    "mlx5_0",
    "mlx5_0=0",
    "mlx5_0=-1",
    "a=1,a=2",
    "a=1e9",
    "=1",
    "a=Infinity",
    "a=1=2=x",
  )
})

test("providers are those that we open, under libfabric's names for them", () => {
  assert.deepEqual(read.fabricProviders("efa, verbs, tcp;ofi_rxm,tcp"), ["efa", "verbs;ofi_rxm", "tcp"])
  refuses(read.fabricProviders, "", "psm3", "^tcp", "efa,")
  assert.deepEqual(read.fabricFilter("efa"), ["efa"])
  assert.equal(read.fabricFilter("^tcp"), undefined)
  assert.equal(read.fabricFilter("psm3"), undefined)
})

test("a path may be anything that a terminal can show", () => {
  assert.equal(read.filePath("/opt/nixl/libnixl_capi.so"), "/opt/nixl/libnixl_capi.so")
  refuses(read.filePath, "a\u0000b", "a\nb", "x".repeat(4097))
  refuses(read.backendName, "UCX,LIBFABRIC", "", "U CX")
})

test("whatever a text holds, a reader answers or says that it does not fit", () => {
  const readers = [
    read.whole(0, 9),
    read.bytesBetween(1, 9),
    read.deviceNames,
    read.processors,
    read.railWeights,
    read.fabricProviders,
    read.fabricFilter,
    read.filePath,
    read.backendName,
    read.oneOf("on"),
    read.mooncakeOrdering,
    read.mooncakeParallel,
  ]
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.string({ unit: "binary" })),
      fc.constantFrom(...readers),
      (text, reader) => {
        try {
          reader(text)
        } catch (thrown) {
          assert.ok(thrown instanceof read.Unfit)
        }
      },
    ),
  )
})
