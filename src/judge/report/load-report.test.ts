import assert from "node:assert/strict"
import { test } from "node:test"
import type { LoadDocument } from "../load-document.ts"
import { loadReportHtml } from "./load-report.ts"
import { readMarkup } from "./markup.test.kit.ts"
import { assertPageRules, withHostileTexts } from "./page-rules.test.kit.ts"
import { sampleLoad } from "./samples.test.kit.ts"

/** The sample with only these engines in it. */
function only(...names: readonly string[]): LoadDocument {
  const { matrix: _matrix, comparison: _comparison, ...rest } = sampleLoad()
  return {
    ...rest,
    verdict: "identical",
    notes: [],
    results: rest.results.filter(({ engine }) => names.includes(engine)),
  }
}

test("a report keeps the rules of its page", () => {
  for (const document of [sampleLoad(), only("kvferry"), only("memcpy", "kvferry"), only()]) {
    assertPageRules(loadReportHtml(document))
  }
})

test("the same document gives the same page", () => {
  assert.equal(loadReportHtml(sampleLoad()), loadReportHtml(structuredClone(sampleLoad())))
})

test("ratios, rates in both units, quantiles, costs, rails, pairs, notes and machine stand in the page", () => {
  const document = sampleLoad()
  const { text } = readMarkup(loadReportHtml(document))
  for (const words of [
    "Wrong bytes: nixl==0.6.1:LIBFABRIC",
    "0.341×",
    "16.4 GB/s",
    "131 Gb/s",
    "25.6 ms",
    "p99.9",
    "rail 1: 200 MiB, 50.0 %",
    "--num-blocks 3750 was scaled down to 600",
    "Logging was on for nixl:UCX",
    "slower",
    "91 %",
    "9c1e44a07d20b5f3",
    "AMD EPYC 9R14",
    "hardware",
    "TCP lane queue-full rejection",
  ]) {
    assert.ok(text.includes(words), words)
  }
  assert.ok(text.indexOf("Speed beside kvferry") < text.indexOf("Rate"))
})

test("no figure of an engine whose bytes were wrong, or that left, stands anywhere in the page", () => {
  const document = sampleLoad()
  const marked = document.results.map((result) =>
    result.verdict === "identical"
      ? result
      : {
          ...result,
          // Figures that would be seen if anything showed them.
          bytesPerSecond: { median: 7.777e12, low: 7.777e12, high: 7.777e12 },
          ratio: { median: 7777, low: 7777, high: 7777 },
          latency: { p50: 7.777e9, p90: 7.777e9, p99: 7.777e9, p999: 7.777e9, max: 7.777e9 },
          cpuSecondsPerGb: 7777,
          microsByRound: document.results[0]!.microsByRound.map(() => 7.777e9),
        },
  )
  const comparison = marked.map(({ engine }) => ({
    engine,
    before: 7777,
    now: 7777,
    verdict: "same" as const,
    why: engine,
  }))
  const bad = marked.filter(({ verdict }) => verdict !== "identical").map(({ engine }) => engine)
  const page = loadReportHtml({
    ...document,
    results: marked,
    comparison: comparison.filter(({ engine }) => bad.includes(engine)),
    matrix: [{ from: "a", to: "b", engine: "kvferry", verdict: "different", bytesPerSecond: 7.777e12 }],
  })
  assert.doesNotMatch(readMarkup(page).text, /7777|62216/)
  assert.ok(page.includes("wrong bytes"))
})

test("ratios are to the first engine that was proven", () => {
  const document = sampleLoad()
  const without = (bad: (engine: string) => boolean) => ({
    ...document,
    results: document.results.map((result) =>
      bad(result.engine) ? { ...result, verdict: "different" as const } : result,
    ),
  })
  const second = readMarkup(loadReportHtml(without((engine) => engine === "kvferry"))).text
  assert.ok(second.includes("Speed beside kvferry:tcp"))
  const none = readMarkup(loadReportHtml(without((engine) => engine !== "memcpy"))).text
  assert.ok(!none.includes("1.10×"))
})

test("a pair that is slow is told by words, and one with wrong bytes has no rate", () => {
  const page = loadReportHtml(sampleLoad())
  assert.equal(page.match(/<small>slow<\/small>/g)?.length, 1)
  assert.equal(page.match(/<td class="wrong"[^>]*>✕<small>wrong bytes<\/small>/g)?.length, 1)
})

test("an interrupted run says that it is a part", () => {
  assert.ok(readMarkup(loadReportHtml({ ...sampleLoad(), interrupted: true })).text.includes("Interrupted"))
})

test("odd figures do not break a picture: one round, equal times, tiny rates", () => {
  const document = only("kvferry", "nixl:UCX")
  const results = document.results.map((result) => ({
    ...result,
    microsByRound: [5],
    latency: { p50: 5, p90: 5, p99: 5, p999: 5, max: 5 },
    bytesPerSecond: { median: 3, low: 3, high: 3 },
    ratio: { median: 1, low: 0, high: 1 },
  }))
  const page = loadReportHtml({ ...document, results, rounds: 1 })
  assertPageRules(page)
  assert.doesNotMatch(page, /NaN|Infinity|undefined/)
})

test("no figure of any sample is drawn as no number", () => {
  for (const document of [sampleLoad(), only("kvferry"), only()]) {
    assert.doesNotMatch(loadReportHtml(document), /NaN|Infinity|undefined/)
  }
})

test("texts of engines stay text, wherever they stand", () => {
  const kept = new Set(["verdict", "evidence", "schema", "startedAt", "role", "op", "strategy"])
  const page = loadReportHtml(withHostileTexts(sampleLoad(), kept))
  assertPageRules(page)
  assert.ok(!page.includes("<script>") && !page.includes("<img"))
})
