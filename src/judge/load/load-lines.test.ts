import assert from "node:assert/strict"
import { test } from "node:test"
import { styleFor } from "../../terminal/style.ts"
import type { LoadDocument, LoadShape } from "../load-document.ts"
import { loadReportHtml } from "../report/load-report.ts"
import { readMarkup } from "../report/markup.test.kit.ts"
import { sampleLoad } from "../report/samples.test.kit.ts"
import { loadLines } from "./load-lines.ts"

const plain = styleFor({ isTTY: false }, {})
const headOf = (shape: Partial<LoadShape>): string => {
  const document = sampleLoad()
  const one = { prefillEngines: 1, decodeEngines: 1, prefillTp: 1, decodeTp: 1, blockBytes: 65_536 }
  return loadLines({ ...document, shape: { ...document.shape, ...one, model: "", ...shape } }, plain)[0]!
}

test("the first line's factors make its bytes", () => {
  assert.match(headOf({ blocks: 1, layers: 1, bytes: 65_536 }), /^1 block × 1 layer × 64.0 KiB.*: 64.0 KiB a/)
  assert.match(
    headOf({ blocks: 10, layers: 2, prefillTp: 3, prefillEngines: 4, decodeEngines: 2, bytes: 15_728_640 }),
    /^10 blocks × 2 layers × 64.0 KiB × 3 ranks × 4 pairs.*: 15.0 MiB a round/,
  )
})

test("on a narrow terminal the table of costs is two", () => {
  const wide = loadLines(sampleLoad(), plain)
  assert.ok(wide.some((line) => /^engine +open .*memory of prefill.*path$/.test(line)))
  const narrow = loadLines(sampleLoad(), plain, 80)
  assert.ok(narrow.some((line) => /^engine +open .*prepare$/.test(line)))
  assert.ok(narrow.some((line) => /^engine +memory of prefill, .*path$/.test(line)))
})

test("an engine that was never opened did not run, and one that left has failed", () => {
  const document = sampleLoad()
  const { engine, role, loggingOn } = document.results.find((one) => one.engine === "mooncake:tcp")!
  const never = { about: "", version: "", microsByRound: [], why: "no RDMA device" }
  const gone = {
    ...never,
    engine: engine.replace("tcp", "rdma"),
    role,
    loggingOn,
    verdict: "failed" as const,
  }
  const results = [...document.results, gone]
  const lines = loadLines({ ...document, results }, plain)
  assert.ok(lines.some((line) => /^mooncake:rdma +did not run/.test(line)))
  assert.ok(lines.includes("mooncake:rdma: did not run: no RDMA device"))
  assert.ok(lines.some((line) => /^mooncake:tcp: failed: rc -1/.test(line)))
  const page = readMarkup(loadReportHtml({ ...document, results })).text
  assert.ok(page.includes("Not finished: mooncake:tcp. Did not run: mooncake:rdma."), page)
  const alone = loadReportHtml({ ...document, results: [results[0]!, gone], verdict: "failed" })
  assert.ok(alone.includes("<title>kvferry bench: not every engine ran<"))
  assert.ok(readMarkup(alone).text.includes("Did not run: mooncake:rdma"))
  assert.doesNotMatch(readMarkup(alone).text, /failed/)
})

test("a rate that is rounded up to one has its two digits", () => {
  const document = sampleLoad()
  const [first, ...rest] = document.results
  const rate = { median: 0.998e9, low: 0.05e9, high: 123e9 }
  const lines = loadLines({ ...document, results: [{ ...first!, bytesPerSecond: rate }, ...rest] }, plain)
  assert.ok(
    lines.some((line) => / 1\.00 +0\.050–123 /.test(line)),
    lines.join("\n"),
  )
})

/** The lines of the tables: titles and rows. */
const tables = (document: LoadDocument, columns: number): string[] =>
  loadLines(document, plain, columns).filter((line) => /^(engine|memcpy|kvferry|nixl:UCX) {2}/.test(line))

/** As on a machine that has too much else to do: rates of kilobytes, and intervals from nothing to thousands. */
function slow(document: LoadDocument): LoadDocument {
  const results = document.results.map((result) =>
    result.bytesPerSecond === undefined
      ? result
      : {
          ...result,
          bytesPerSecond: { median: 61_700, low: 4_900, high: 123_000 },
          ratio: { median: 1234.5, low: 0.001, high: 98_765.4 },
        },
  )
  return { ...document, results }
}

test("no line of a table is wider than the terminal, whatever the figures, and none of them is lost", () => {
  const words = ["GB/s", "Gb/s", "of memcpy", "p50", "p90", "p99", "p99.9", "CPU s/GB"]
  for (const document of [sampleLoad(), slow(sampleLoad())]) {
    for (const columns of [60, 72, 80, 100, 120, 200]) {
      const told = tables(document, columns)
      for (const line of told) assert.ok(line.length <= columns, `${line.length} of ${columns}: ${line}`)
      const titles = told
        .filter((line) => line.startsWith("engine "))
        .join("  ")
        .split(/ {2,}/)
      for (const word of words) assert.ok(titles.includes(word), `${columns}: ${word} in ${titles}`)
    }
  }
})

test("where there is room it is one table, and rates and times part where there is none", () => {
  const titles = (columns: number) =>
    tables(sampleLoad(), columns).filter((line) => line.startsWith("engine "))
  assert.match(titles(250)[0]!, /GB\/s .*CPU s\/GB$/)
  assert.match(titles(90)[0]!, /GB\/s .*of memcpy$/)
  assert.match(titles(90)[1]!, /^engine +p50 .*CPU s\/GB$/)
})
