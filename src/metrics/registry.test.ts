import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import fc from "fast-check"
import { escapeLabelValue } from "./exposition.ts"
import { secondBuckets } from "./histogram.ts"
import { Registry } from "./registry.ts"

const text = (name: string) => ({ name, help: "A number of this test." })

test("every label set is there from the start, at zero", () => {
  const registry = new Registry()
  registry.counter(text("kvferry_test_requests_total"), {
    endpoint: ["chat", "text"],
    status: ["2xx", "5xx"],
  })
  assert.equal(
    registry.text(),
    [
      "# HELP kvferry_test_requests_total A number of this test.",
      "# TYPE kvferry_test_requests_total counter",
      'kvferry_test_requests_total{endpoint="chat",status="2xx"} 0',
      'kvferry_test_requests_total{endpoint="chat",status="5xx"} 0',
      'kvferry_test_requests_total{endpoint="text",status="2xx"} 0',
      'kvferry_test_requests_total{endpoint="text",status="5xx"} 0',
      "",
    ].join("\n"),
  )
})

test("a counter adds to the series of its labels only, and never shrinks", () => {
  const counter = new Registry().counter(text("kvferry_test_total"), { code: ["a", "b"] })
  counter.add({ code: "b" })
  counter.add({ code: "b" }, 2.5)
  assert.equal(counter.value({ code: "a" }), 0)
  assert.equal(counter.value({ code: "b" }), 3.5)
  assert.throws(() => counter.add({ code: "a" }, -1), /only grows/)
})

test("a label value that was not declared is refused, so the set of series is bounded", () => {
  const counter = new Registry().counter(text("kvferry_test_total"), { code: ["a"] as readonly string[] })
  assert.throws(() => counter.add({ code: "of a client's choice" }), /no declared value/)
})

test("gauges go up and down, and a read gauge asks", () => {
  const registry = new Registry()
  const gauge = registry.gauge(text("kvferry_test_in_flight"))
  let free = 7
  registry.readGauge(text("kvferry_test_blocks_free"), () => free)
  gauge.add({}, 3)
  gauge.add({}, -1)
  free = 5
  assert.match(registry.text(), /^kvferry_test_in_flight 2$/m)
  assert.match(registry.text(), /^kvferry_test_blocks_free 5$/m)
})

test("histogram buckets are cumulative and a value on a bound belongs below it", () => {
  const registry = new Registry()
  const histogram = registry.histogram(text("kvferry_test_seconds"), [0.1, 1], { op: ["read"] })
  for (const value of [0.1, 0.5, 1, 7]) histogram.observe({ op: "read" }, value)
  assert.deepEqual(registry.text().split("\n").slice(2, -1), [
    'kvferry_test_seconds_bucket{op="read",le="0.1"} 1',
    'kvferry_test_seconds_bucket{op="read",le="1"} 3',
    'kvferry_test_seconds_bucket{op="read",le="+Inf"} 4',
    'kvferry_test_seconds_sum{op="read"} 8.6',
    'kvferry_test_seconds_count{op="read"} 4',
  ])
})

test("a histogram counts every value exactly once", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 100, noNaN: true })), (values) => {
      const registry = new Registry()
      const histogram = registry.histogram(text("kvferry_test_seconds"), secondBuckets(-3, 1))
      for (const value of values) histogram.observe({}, value)
      assert.match(registry.text(), new RegExp(`le="\\+Inf"} ${values.length}$`, "m"))
      assert.match(registry.text(), new RegExp(`^kvferry_test_seconds_count ${values.length}$`, "m"))
    }),
  )
})

test("secondBuckets() prints as short decimals", () => {
  assert.deepEqual(secondBuckets(-2, 0), [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1])
  assert.equal(secondBuckets(-5, 1)[1], 0.00002)
})

test("label values are escaped so that one value stays one line and one string", () => {
  assert.equal(escapeLabelValue('a"b\\c\nd'), 'a\\"b\\\\c\\nd')
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (value) => {
      const escaped = escapeLabelValue(value)
      assert.ok(!escaped.includes("\n"))
      const unescaped = escaped.replace(/\\(.)/g, (_, next: string) => (next === "n" ? "\n" : next))
      assert.equal(unescaped, value)
    }),
  )
})

test("names, duplicates and bad buckets are refused when they are declared", () => {
  const registry = new Registry()
  registry.counter(text("kvferry_test_total"))
  assert.throws(() => registry.counter(text("kvferry_test_total")), /declared once/)
  assert.throws(() => registry.counter(text("kvferry_test_count")), /_total/)
  assert.throws(() => registry.gauge(text("other_bytes")), /kvferry_/)
  assert.throws(() => registry.histogram(text("kvferry_b_seconds"), [1, 1]), /grow/)
  assert.throws(() => registry.histogram(text("kvferry_c_seconds"), []), /at least one/)
  assert.throws(() => registry.counter(text("kvferry_d_total"), { "a-b": ["x"] }), /label name/)
})

test("promtool finds nothing to complain about", (t) => {
  const registry = new Registry()
  registry.counter(text("kvferry_test_requests_total"), { code: ["plain", 'od"d\\', "two\nlines"] })
  registry.gauge(text("kvferry_test_free_bytes")).set({}, 1.5e9)
  registry.histogram(text("kvferry_test_wait_seconds"), secondBuckets(-5, 1)).observe({}, 0.003)
  const promtool = spawnSync("promtool", ["check", "metrics"], { input: registry.text(), encoding: "utf8" })
  if (promtool.error) return t.skip("promtool is not installed (package prometheus)")
  assert.equal(promtool.status, 0, promtool.stdout + promtool.stderr)
  assert.equal(promtool.stderr.trim(), "")
})
