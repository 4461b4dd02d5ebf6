import assert from "node:assert/strict"
import { test } from "node:test"
import { momentMillis, spanMicros } from "./time-options.ts"

test("a span is microseconds, or a number with its unit", () => {
  const cases: [string, number][] = [
    ["250", 250],
    ["10ms", 10_000],
    ["1.5s", 1_500_000],
    ["3us", 3],
    ["3µs", 3],
    ["2m", 120_000_000],
    ["1d", 86_400_000_000],
  ]
  for (const [text, micros] of cases) assert.equal(spanMicros(text), micros)
  for (const text of ["", "ms", "-1", "10 ms", "1w", "1e3", "9".repeat(20), "0x10", "1.", "∞"]) {
    assert.throws(() => spanMicros(text), /microseconds/, text)
  }
})

test("a moment is a span back from now, or a time in ISO 8601", () => {
  const now = Date.UTC(2026, 10, 20, 12)
  assert.equal(momentMillis("90s", now), now - 90_000)
  assert.equal(momentMillis("500ms", now), now - 500)
  assert.equal(momentMillis("2026-11-20T11:00:00Z", now), now - 3_600_000)
  assert.equal(momentMillis("2026-11-20", now), Date.UTC(2026, 10, 20))
  for (const text of ["", "90", "yesterday", "2026-13-40", "2026-11-20T99:00:00Z", "1", "Nov 20 2026"]) {
    assert.throws(() => momentMillis(text, now), /span|time/, text)
  }
})
