import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { rateText, sizeText, timeText } from "./units.ts"

test("sizes are told in the largest unit that fits, with three digits", () => {
  const cases: [number, string][] = [
    [0, "0 bytes"],
    [1023, "1023 bytes"],
    [1024, "1.00 KiB"],
    [1536, "1.50 KiB"],
    [1023 * 1024, "1023 KiB"],
    [2 ** 20, "1.00 MiB"],
    [419_430_400, "400 MiB"],
    [3 * 2 ** 30, "3.00 GiB"],
    [5000 * 2 ** 40, "5000 TiB"],
  ]
  for (const [bytes, text] of cases) assert.equal(sizeText(bytes), text)
})

test("times are told in µs, ms or s", () => {
  const cases: [number, string][] = [
    [0, "0 µs"],
    [999.4, "999 µs"],
    [999.6, "1.00 ms"],
    [1000, "1.00 ms"],
    [12_345, "12.3 ms"],
    [999_999, "1.00 s"],
    [1_500_000, "1.50 s"],
    [1_234_000_000, "1234 s"],
  ]
  for (const [micros, text] of cases) assert.equal(timeText(micros), text)
})

test("rates are told in GB/s, and in MB/s below a tenth of one", () => {
  assert.equal(rateText(14.02e9), "14.02 GB/s")
  assert.equal(rateText(1e8), "0.10 GB/s")
  assert.equal(rateText(99_900_000), "99.9 MB/s")
  assert.equal(rateText(0), "0.0 MB/s")
})

test("no number is told with an exponent, and a larger one is never told as less in the same unit", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 2 ** 49, noNaN: true }),
      fc.double({ min: 0, max: 2 ** 49, noNaN: true }),
      (a, b) => {
        const [small, large] = a < b ? [a, b] : [b, a]
        for (const tell of [(n: number) => sizeText(Math.floor(n)), timeText, rateText]) {
          const [one, other] = [tell(small).split(" "), tell(large).split(" ")]
          assert.match(one[0]!, /^\d+(\.\d+)?$/)
          if (one[1] === other[1]) assert.ok(Number(one[0]) <= Number(other[0]))
        }
      },
    ),
  )
})
