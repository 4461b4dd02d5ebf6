import assert from "node:assert/strict"
import { test } from "node:test"
import { styleFor } from "../../terminal/style.ts"
import type { LoadShape } from "../load-document.ts"
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
